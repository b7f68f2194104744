"""DDL for one server or for a cluster: which tables are replicated, sharded, and read across all shards.

On a cluster every shard holds whole source partitions: partition p belongs to shard p mod shards, and the writer of p
uses that shard alone. The shard holds everything a flush writes, including its usage rows (which have no p) and its
receipts. So a guard is evaluated where all its data is, one insert is one part, and one statement reads a flush's usage
together with its receipt. Usage of one customer is spread over all shards and merged when it is read, like the rows of
one shard.

Readers of all partitions use the database `<name>_all`: Distributed tables of the same names, so the same statements.
They have no sharding key, so the store refuses inserts through them: such an insert would be split by rows and would
bypass the guards.
"""

import re
from string import Template

import msgspec

from schemas.errors import Misconfigured
from schemas.flush import Table

TOKEN_WINDOW = 100_000
TOKEN_SECONDS = 7 * 86_400
"""Only replicated tables expire tokens by age as well. Receipts outlive them, as everywhere."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SHARDED_TABLES = (*(table.value for table in Table), "flushes")

_READ_DATABASE = "CREATE DATABASE IF NOT EXISTS {all} ON CLUSTER {cluster}"

# Distributed tables hold no rows, so every migration recreates them with the current columns.
_READ_TABLE = """\
CREATE OR REPLACE TABLE {all}.{table} ON CLUSTER {cluster} AS {name}.{table}
ENGINE = Distributed('{cluster}', '{name}', '{table}')"""


def distributed_database(database: str) -> str:
    """The database in which all shards of `database` are read as one."""
    return f"{database}_all"


class StoreTopology(msgspec.Struct, frozen=True):
    """One server (embedded or not), or the cluster of this name in the servers' configuration."""

    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.cluster is not None and not _NAME.fullmatch(self.cluster):
            raise Misconfigured([f"{self.cluster!r} cannot be a cluster's name: use letters, digits and underscores"])

    def render(self, statement: Template, database: str) -> str:
        """The statement for a table of which each shard has its own rows."""
        return self._substitute(statement, database, "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')")

    def render_for_all(self, statement: Template, database: str) -> str:
        """The statement for a table that is the same on every server of the cluster."""
        return self._substitute(
            statement, database, "('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}')"
        )

    def distributed_statements(self, database: str) -> list[str]:
        """The statements for the database of all shards; none for a single server."""
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
