"""The ledger's PostgreSQL server, in a container."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from testcontainers.core.container import DockerContainer

from tests.backing_services.docker import image_of, wait_until_serving
from tests.backing_services.postgresql import PostgreSqlServer

PORT = 5432
USER = "tallyhouse"


def variables(password: str) -> dict[str, str]:
    """The user may make databases, and has one of its own name to begin with."""
    return {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": password}


def server_at(host: str, port: int, password: str) -> PostgreSqlServer:
    return PostgreSqlServer(sa.URL.create("postgresql+psycopg", USER, password, host, port, USER))


@contextmanager
def postgresql() -> Iterator[PostgreSqlServer]:
    """For as long as it is needed."""
    password = secrets.token_hex(8)
    container = DockerContainer(image_of("postgres")).with_exposed_ports(PORT)
    for name, value in variables(password).items():
        container.with_env(name, value)
    with container:
        server = server_at(container.get_container_host_ip(), int(container.get_exposed_port(PORT)), password)
        # While the image sets itself up, its server listens inside only: who is answered is answered by the real one.
        wait_until_serving(container, lambda: server.serves)
        yield server
