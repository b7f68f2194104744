"""The Kafka broker that tests share: a container, otherwise a local broker, otherwise librdkafka's mock."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import NamedTuple

from confluent_kafka import Producer
from testcontainers.core.container import DockerContainer

from tallyhouse.local.background_program import ToolMissing
from tallyhouse.local.kafka_broker import KafkaBroker, probe_cluster_id
from tallyhouse.local.kafka_jars import VERSION, find_kafka
from tallyhouse.local.kafka_node import SETTINGS, free_ports
from tests.backing_services.docker import wait_until_serving

LIMITS = "it cannot create or describe topics, keep records over a restart, or be killed: tests of that are skipped"


@contextmanager
def mock_broker() -> Iterator[str]:
    """The address of the mock, which lives as long as the client it is part of."""
    owner = Producer({"bootstrap.servers": "ignored:1", "test.mock.num.brokers": 1, "log_level": 0})
    [broker] = owner.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    owner.flush(1)


def variables(host: str, port: int) -> dict[str, str]:
    """The node's environment as the image expects it; clients reach it at `host` and `port`."""
    own = {
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{host}:{port}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in (SETTINGS | own).items()}


@contextmanager
def container() -> Iterator[str]:
    """The address of a broker in a container. The port is chosen here, because the broker needs it before it starts."""
    broker = DockerContainer(f"apache/kafka:{VERSION}")
    host = broker.get_docker_client().host()
    port = free_ports(SystemRandom(), None).clients
    for name, value in variables(host, port).items():
        broker.with_env(name, value)
    with broker.with_bind_ports(9092, port):
        wait_until_serving(broker, lambda: probe_cluster_id(host, port) is not None)
        yield f"{host}:{port}"


Print = Callable[[str], None]


_POLL_SECONDS = 0.05


class PausableKafkaBroker(KafkaBroker):
    """A broker that can go silent, as behind a network partition, and restart."""

    def restart(self) -> None:
        """Stops the broker, unless it was killed, and starts it with the same data and address."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stops every thread; returns once the broker neither answers nor closes connections."""
        self._program.signal(signal.SIGSTOP)
        while self._is_serving():
            time.sleep(_POLL_SECONDS)

    def resume(self) -> None:
        self._program.signal(signal.SIGCONT)


def local_broker(folder: Path, environ: Mapping[str, str], notify: Print) -> PausableKafkaBroker:
    """A broker run by the installed Java from the cached jars, on a free port."""
    return PausableKafkaBroker(folder, find_kafka(environ, notify), SystemRandom())


class SharedBroker(NamedTuple):
    """The address of the broker; if it is a mock, what is missing for a real one."""

    bootstrap: str
    missing: ToolMissing | None


@contextmanager
def best_broker(
    folder: Path, environ: Mapping[str, str], notify: Print, *, docker: bool, only_real: bool
) -> Iterator[SharedBroker]:
    """The best broker. A local one is shared by all processes that name the folder; others belong to one process."""
    if docker:
        with container() as bootstrap:
            yield SharedBroker(bootstrap, None)
        return
    try:
        runtime = find_kafka(environ, notify)
    except ToolMissing as missing:
        if only_real:
            raise
        notify(f"Kafka is NOT the real one in this run: librdkafka's mock stands in for it; {LIMITS}. {missing}")
        with mock_broker() as bootstrap:
            yield SharedBroker(bootstrap, missing)
        return
    with KafkaBroker(folder, runtime, SystemRandom()) as local:
        yield SharedBroker(local.bootstrap, None)
