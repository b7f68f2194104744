"""Where the tables live: the same statements, worded for one server or for a cluster of them.

On a cluster every shard holds whole source partitions: partition p belongs to shard p mod shards, and whoever writes p
speaks to that shard alone. All that a flush writes is there, its usage rows and its receipts too, although usage rows
have no p: so a guard is evaluated where everything it asks for is, one insert is one part, and one statement reads a
flush's usage together with its receipt. Usage of one customer lies on every shard, and is merged when it is read, as
the rows of one shard are.

Whoever asks about all partitions reads the database `<name>_all`: Distributed tables of the same names, so the same
statements. They have no sharding key, which makes the store refuse an insert through them: it would be cut up by rows
and would pass by the guards.
"""

import re
from string import Template

import msgspec

from schemas.errors import Misconfigured
from schemas.flush import Table

TOKEN_WINDOW = 100_000
TOKEN_SECONDS = 7 * 86_400
"""Only replicated tables forget tokens by age as well. As everywhere, receipts outlive them."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SHARDED_TABLES = (*(table.value for table in Table), "flushes")

_READ_DATABASE = "CREATE DATABASE IF NOT EXISTS {all} ON CLUSTER {cluster}"

# They hold nothing, so they are made anew after every migration, and always have the columns of what they stand for.
_READ_TABLE = """\
CREATE OR REPLACE TABLE {all}.{table} ON CLUSTER {cluster} AS {name}.{table}
ENGINE = Distributed('{cluster}', '{name}', '{table}')"""


def distributed_database(database: str) -> str:
    """Where all shards of it are read as one."""
    return f"{database}_all"


class StoreTopology(msgspec.Struct, frozen=True):
    """One server, embedded or not, or the cluster of this name in the servers' own configuration."""

    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.cluster is not None and not _NAME.fullmatch(self.cluster):
            raise Misconfigured([f"{self.cluster!r} cannot be a cluster's name: use letters, digits and underscores"])

    def render(self, statement: Template, database: str) -> str:
        """For a table of which every shard has its own."""
        return self._substitute(statement, database, "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')")

    def render_for_all(self, statement: Template, database: str) -> str:
        """For a table that is one and the same on every server of the cluster."""
        return self._substitute(
            statement, database, "('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}')"
        )

    def distributed_statements(self, database: str) -> list[str]:
        """What shows all shards as one; nothing where there is only one."""
        if self.cluster is None:
            return []
        words = {"all": distributed_database(database), "name": database, "cluster": self.cluster}
        return [
            _READ_DATABASE.format_map(words),
            *(_READ_TABLE.format_map(words | {"table": table}) for table in _SHARDED_TABLES),
        ]

    def _substitute(self, statement: Template, database: str, replica: str) -> str:
        if self.cluster is None:
            window = f"non_replicated_deduplication_window = {TOKEN_WINDOW}"
            return statement.substitute(
                database=database, on_cluster="", replicated="", replica="", token_window=window
            )
        return statement.substitute(
            database=database,
            on_cluster=f" ON CLUSTER {self.cluster}",
            replicated="Replicated",
            replica=replica,
            token_window=f"replicated_deduplication_window = {TOKEN_WINDOW}, "
            f"replicated_deduplication_window_seconds = {TOKEN_SECONDS}",
        )


SINGLE_SERVER = StoreTopology()
