"""The usage store on a ClickHouse server, in a container."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from testcontainers.core.container import DockerContainer

from schemas.errors import StoreFailed
from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.engine_settings import EngineLimits
from tests.backing_services.docker import image_of, wait_until_serving

PORT = 8123
USER = "tallyhouse"


def variables(password: str) -> dict[str, str]:
    """The environment as in compose: a user in place of `default` that may create databases but no users."""
    return {
        "CLICKHOUSE_USER": USER,
        "CLICKHOUSE_PASSWORD": password,
        "CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT": "0",
    }


def serves(address: ServerAddress) -> bool:
    """Whether the server answers Tallyhouse's own client: `/ping` would answer before users exist."""
    with ClickHousePool(address, 1, EngineLimits()) as server:
        try:
            return server.database("default").query_rows("SELECT 1") == [(1,)]
        except StoreFailed:
            return False


@contextmanager
def clickhouse() -> Iterator[ServerAddress]:
    """A ClickHouse server in a container, for the duration of the context."""
    password = secrets.token_hex(8)
    store = DockerContainer(image_of("clickhouse")).with_exposed_ports(PORT)
    for name, value in variables(password).items():
        store.with_env(name, value)
    with store:
        host, port = store.get_container_host_ip(), int(store.get_exposed_port(PORT))
        address = ServerAddress(host=host, port=port, user=USER, password=password)
        wait_until_serving(store, lambda: serves(address))
        yield address
