"""One Kafka node that is a whole cluster: its settings, its ports and its command lines."""

import re
import socket
from pathlib import Path
from random import Random
from typing import NamedTuple

from tallyhouse.local.kafka_jars import KafkaInstallation

HOST = "127.0.0.1"
PORT_RANGE = range(20_000, 30_000)
"""Below the ephemeral ports. While a broker is down, a client that keeps reconnecting could otherwise be given the
broker's port as its own, connect to itself, and keep the broker from starting again."""

JAVA_OPTIONS = ("-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
"""The smallest memory that one node runs with."""

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "inter.broker.listener.name": "PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A topic made because of a typing error would have the wrong number of partitions.
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After a crash the node is refused until its old session times out: by default only after 9 seconds.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "log.segment.bytes": str(16 << 20),
    "log.index.size.max.bytes": str(1 << 20),
    "log.cleaner.dedupe.buffer.size": str(2 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
}
"""The settings of every node, including one in a container."""

LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
"""


class NodePorts(NamedTuple):
    """The ports of the client listener and of the controller listener."""

    clients: int
    controller: int


class KafkaNode:
    """The node whose settings and data are in `folder`."""

    def __init__(self, folder: Path, runtime: KafkaInstallation) -> None:
        self._folder = folder
        self._runtime = runtime

    def configure(self, ports: NodePorts) -> None:
        """Writes the node's settings."""
        listeners = f"PLAINTEXT://{HOST}:{ports.clients},CONTROLLER://{HOST}:{ports.controller}"
        own = {
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://{HOST}:{ports.clients}",
            "controller.quorum.voters": f"1@{HOST}:{ports.controller}",
            "log.dirs": str(self._data),
        }
        self._logging.write_text(LOGGING)
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in (SETTINGS | own).items()))

    @property
    def ports(self) -> NodePorts:
        """The configured ports. Raises ValueError without any."""
        found = re.search(r"^listeners=\S+?:(\d+),\S+?:(\d+)$", self._settings.read_text(), re.MULTILINE)
        if found is None:
            raise ValueError(f"{self._settings} names no listeners")
        return NodePorts(int(found[1]), int(found[2]))

    @property
    def cluster(self) -> str | None:
        """The cluster id of the node's data; None before its storage is formatted."""
        meta = self._data / "meta.properties"
        found = re.search(r"^cluster\.id=(\S+)$", meta.read_text(), re.MULTILINE) if meta.exists() else None
        return None if found is None else found[1]

    def format_command(self, cluster: str) -> list[str]:
        return self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._settings))

    def run_command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self._settings))

    def _java(self, *words: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self._logging}"
        return [self._runtime.java, *JAVA_OPTIONS, logging, "-cp", f"{self._runtime.jars}/*", *words]

    @property
    def _settings(self) -> Path:
        return self._folder / "server.properties"

    @property
    def _logging(self) -> Path:
        return self._folder / "log4j2.properties"

    @property
    def _data(self) -> Path:
        return self._folder / "data"


def free_ports(rng: Random, clients: int | None) -> NodePorts:
    """Two ports that are free at the moment, except for `clients` if it is given."""
    first = free_port(rng) if clients is None else clients
    second = first
    while second == first:
        second = free_port(rng)
    return NodePorts(first, second)


def free_port(rng: Random) -> int:
    """A port that is free at the moment, outside the ephemeral range."""
    for port in rng.sample(PORT_RANGE, k=100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {PORT_RANGE.start} and {PORT_RANGE.stop}")
