"""An engine that takes itself for both servers of a cluster of two shards, so that Distributed tables run in it.

What it has as either server is decided in views, so that each shard holds other rows: a statement is planned, cut up
and merged as between servers, and only the wire is missing.
`python -m tests.backing_services.two_shard_engine` serves it over HTTP.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from schemas.flush import Table
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.topology import StoreTopology
from stream_processors.clickhouse_server.__main__ import main

CLUSTER = "tally"

# A server whose address and port are its own is asked without a connection. Nothing listens on the port.
_SHARD = "<shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>"

_CONFIG = f"""\
<clickhouse>
    <tcp_port>9000</tcp_port>
    <remote_servers><{CLUSTER}>{_SHARD * 2}</{CLUSTER}></remote_servers>
</clickhouse>
"""

_TABLES = (*(table.value for table in Table), "flushes")


class InACluster(EngineLimits, frozen=True, kw_only=True):
    """Limits, and where the configuration is."""

    config: str

    def server_options(self) -> dict[str, str]:
        return {**super().server_options(), "config-file": self.config}


def limits_in_a_cluster(folder: Path) -> EngineLimits:
    config = folder / "cluster.xml"
    config.write_text(_CONFIG)
    return InACluster(config=str(config))


def read_as_one(engine: SqlClient, shards: Sequence[str], name: str) -> None:
    """Databases of the engine as the shards of the store of this name, with the reading tables a migration makes."""
    engine.command(f"CREATE DATABASE IF NOT EXISTS {name}")
    for table in _TABLES:
        parts = [
            f"SELECT * FROM {shard}.{table} WHERE shardNum() = {number}" for number, shard in enumerate(shards, start=1)
        ]
        engine.command(f"CREATE VIEW {name}.{table} AS {' UNION ALL '.join(parts)}")
    for statement in StoreTopology(CLUSTER).distributed_statements(name):
        # There is nobody to send it to.
        engine.command(statement.replace(f" ON CLUSTER {CLUSTER}", ""))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(main(limits_in_a_cluster(Path(folder))))
