"""An engine that plays both servers of a cluster of two shards, so that Distributed tables run in it.

Views give each shard its own rows: a statement is planned, split and merged as between servers, without the network.
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

# A server with the engine's own address and port is read without a connection. Nothing listens on the port.
_SHARD = "<shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>"

_CONFIG = f"""\
<clickhouse>
    <tcp_port>9000</tcp_port>
    <remote_servers><{CLUSTER}>{_SHARD * 2}</{CLUSTER}></remote_servers>
</clickhouse>
"""

_TABLES = (*(table.value for table in Table), "flushes")


class ClusterLimits(EngineLimits, frozen=True, kw_only=True):
    """Limits, and the path of the configuration."""

    config: str

    def server_options(self) -> dict[str, str]:
        return {**super().server_options(), "config-file": self.config}


def limits_in_a_cluster(folder: Path) -> EngineLimits:
    config = folder / "cluster.xml"
    config.write_text(_CONFIG)
    return ClusterLimits(config=str(config))


def read_as_one(engine: SqlClient, shards: Sequence[str], name: str) -> None:
    """Use databases of the engine as the shards of a store, with the reading tables that a migration creates."""
    engine.command(f"CREATE DATABASE IF NOT EXISTS {name}")
    for table in _TABLES:
        parts = [
            f"SELECT * FROM {shard}.{table} WHERE shardNum() = {number}" for number, shard in enumerate(shards, start=1)
        ]
        engine.command(f"CREATE VIEW {name}.{table} AS {' UNION ALL '.join(parts)}")
    for statement in StoreTopology(CLUSTER).distributed_statements(name):
        # There is no other server to send it to.
        engine.command(statement.replace(f" ON CLUSTER {CLUSTER}", ""))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(main(limits_in_a_cluster(Path(folder))))
