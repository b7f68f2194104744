"""An engine that takes itself for both servers of a cluster of two shards, so that Distributed tables run in it."""

from pathlib import Path

from stream_processors.backends.sql.settings import EngineLimits

CLUSTER = "tally"

# A server whose address and port are its own is asked without a connection. Nothing listens on the port.
_SHARD = "<shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>"

_CONFIG = f"""\
<clickhouse>
    <tcp_port>9000</tcp_port>
    <remote_servers><{CLUSTER}>{_SHARD * 2}</{CLUSTER}></remote_servers>
</clickhouse>
"""


class InACluster(EngineLimits, frozen=True, kw_only=True):
    """Limits, and where the configuration is."""

    config: str

    def server_options(self) -> dict[str, str]:
        return {**super().server_options(), "config-file": self.config}


def limits_in_a_cluster(folder: Path) -> EngineLimits:
    config = folder / "cluster.xml"
    config.write_text(_CONFIG)
    return InACluster(config=str(config))
