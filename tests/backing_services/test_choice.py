"""When a container is used, its environment, waiting for it, and its address; no test here starts one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from rating.ledger.engine import create_engine
from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.engine_settings import EngineLimits
from tests.backing_services import clickhouse, postgresql
from tests.backing_services.choice import best_ledger_server, best_store
from tests.backing_services.docker import COMPOSE, image_of, wait_until_serving
from tests.backing_services.postgresql import PostgreSqlServer
from tests.server_process import free_port

CONTAINED_STORE = ServerAddress(host="docker.example", port=20_001, user="tallyhouse", password="sesame")
CONTAINED_LEDGER = postgresql.server_at("docker.example", 20_002, "sesame")


@contextmanager
def contained_store() -> Iterator[ServerAddress]:
    yield CONTAINED_STORE


@contextmanager
def contained_ledger() -> Iterator[PostgreSqlServer]:
    yield CONTAINED_LEDGER


@contextmanager
def not_installed() -> Iterator[PostgreSqlServer]:
    pytest.fail("no process of this machine is started where Docker answers")
    yield CONTAINED_LEDGER


class Silent:
    """A container that never serves."""

    image = "silent:1"

    def get_logs(self) -> tuple[bytes, bytes]:
        return b"no space left", b""


def test_containers_are_used_where_docker_answers(tmp_path: Path) -> None:
    """No process of this machine is started."""
    with best_store(tmp_path, docker=True, contained=contained_store) as address:
        assert address is CONTAINED_STORE
    with best_ledger_server(docker=True, contained=contained_ledger, installed=not_installed) as server:
        assert server is CONTAINED_LEDGER
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_server_is_used_elsewhere(tmp_path: Path) -> None:
    """It runs on this machine, and its wait condition accepts it and refuses another user."""
    with best_store(tmp_path, docker=False) as address:
        with ClickHousePool(address, 1, EngineLimits()) as server:
            assert server.database("default").query_rows("SELECT 1") == [(1,)]
        assert clickhouse.serves(address)
    assert not clickhouse.serves(ServerAddress(host="127.0.0.1", port=free_port()))


def test_the_installed_postgresql_is_used_elsewhere() -> None:
    """Each of its databases is new and empty; its wait condition fails for an unused address."""
    with best_ledger_server(docker=False) as server:
        assert server.serves
        urls = [server.new_database() for _ in range(2)]
        assert len(set(urls)) == 2
        for url in urls:
            engine = create_engine(url)
            assert sa.inspect(engine).get_table_names() == []
            engine.dispose()
    assert not postgresql.server_at("127.0.0.1", free_port(), "sesame").serves


def test_a_container_s_databases_are_reached_with_its_password() -> None:
    """The settings accept the address."""
    assert CONTAINED_LEDGER.url_of("ledger_0") == (
        "postgresql+psycopg://tallyhouse:sesame@docker.example:20002/ledger_0"
    )


def test_images_and_environment_are_those_of_compose() -> None:
    """Tests use the same servers as an installation."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for service, environment in (
        ("clickhouse", clickhouse.variables("p")),
        ("postgres", postgresql.variables("p")),
    ):
        assert image_of(service).startswith(("clickhouse/clickhouse-server:", "postgres:"))
        assert environment.keys() == services[service]["environment"].keys()
        assert {name for name in environment if environment[name] != services[service]["environment"][name]} == {
            name for name in environment if name.endswith("_PASSWORD")
        }


def test_the_logs_of_a_container_that_never_serves_are_reported() -> None:
    """A container that serves in the end is waited for."""
    answers = iter([False, False, True])
    wait_until_serving(Silent(), lambda: next(answers))
    with pytest.raises(AssertionError, match=r"silent:1 to serve.*no space left"):
        wait_until_serving(Silent(), lambda: False, timeout=0.05)
