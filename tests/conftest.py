"""What tests of several packages share: per test process one ClickHouse engine in it, and one behind HTTP."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from hypothesis import settings

from stream_processors.backends.sql.chdb import Chdb, ChdbDatabase
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.http import HttpDatabase, HttpServer
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.sql.settings import EngineLimits
from tests.cluster_of_two import limits_in_a_cluster
from tests.containers.choice import best_ledger_server, best_store
from tests.containers.engine import docker_answers
from tests.rating.ledger.postgresql import Server

# A machine that is busy with something else must not make a property fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

pytest_plugins = ["tests.broker.fixtures", "tests.rating.ledger.migrated"]

HANDLES = 3

Databases = Callable[[], ChdbDatabase]
"""Each call gives a new, migrated, empty database."""

HttpDatabases = Callable[[], HttpDatabase]
"""The same, of an engine in another process."""


_Database = TypeVar("_Database", bound=SqlClient)


def migrated_databases(named: Callable[[str], _Database]) -> Callable[[], _Database]:
    """One new database after the other, in the store whose databases `named` gives."""
    numbers = itertools.count()

    def make() -> _Database:
        name = f"test_{next(numbers)}"
        migrate(named("default"), name)
        return named(name)

    return make


@pytest.fixture(scope="session")
def chdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chdb]:
    """A process can open only one data directory, ever: this is it."""
    limits = limits_in_a_cluster(tmp_path_factory.mktemp("cluster"))
    with Chdb(tmp_path_factory.mktemp("chdb"), HANDLES, limits) as chdb:
        yield chdb


@pytest.fixture(scope="session")
def databases(chdb: Chdb) -> Databases:
    return migrated_databases(chdb.database)


@pytest.fixture(scope="session")
def docker() -> bool:
    """Whether servers can be had as containers."""
    return docker_answers()


@pytest.fixture(scope="session")
def postgresql(docker: bool) -> Iterator[Server]:
    with best_ledger_server(docker=docker) as server:
        yield server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, docker: bool) -> Iterator[HttpServer]:
    """A ClickHouse server where Docker answers, else the endpoint. Tests of the endpoint itself have their own."""
    with (
        best_store(tmp_path_factory.mktemp("store"), docker=docker) as address,
        HttpServer(address, HANDLES, EngineLimits()) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def http_databases(server: HttpServer) -> HttpDatabases:
    return migrated_databases(server.database)


@pytest.fixture(scope="session")
def threads() -> Iterator[ThreadPoolExecutor]:
    """Where the engine's blocking calls run."""
    with ThreadPoolExecutor(HANDLES) as executor:
        yield executor
