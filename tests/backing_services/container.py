"""The broker as a container, where Docker answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import SystemRandom

from testcontainers.core.container import DockerContainer

from tallyhouse.local.kafka_jars import VERSION
from tallyhouse.local.kafka_node import SETTINGS, free_ports
from tallyhouse.local.kafka_probe import probe_cluster_id
from tests.backing_services.docker import wait_until_serving


def variables(host: str, port: int) -> dict[str, str]:
    """The node's settings as the image wants them; clients reach it at `host` and `port`."""
    own = {
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{host}:{port}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in (SETTINGS | own).items()}


@contextmanager
def container() -> Iterator[str]:
    """Its address. The port is chosen by us, for the broker must know it before it starts."""
    broker = DockerContainer(f"apache/kafka:{VERSION}")
    host = broker.get_docker_client().host()
    port = free_ports(SystemRandom(), None).clients
    for name, value in variables(host, port).items():
        broker.with_env(name, value)
    with broker.with_bind_ports(9092, port):
        wait_until_serving(broker, lambda: probe_cluster_id(host, port) is not None)
        yield f"{host}:{port}"
