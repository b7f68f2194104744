"""Fixtures for tests of several packages: in each test process a ClickHouse engine, and one behind HTTP."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from stream_processors.backends.sql.chdb import Chdb, ChdbDatabase
from stream_processors.backends.sql.clickhouse_http import ClickHouseDatabase, ClickHousePool, ServerAddress
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.migrate import migrate
from tests.backing_services.choice import best_ledger_server, best_store
from tests.backing_services.docker import docker_answers
from tests.backing_services.postgresql import PostgreSqlServer
from tests.backing_services.two_shard_engine import limits_in_a_cluster

# A property is judged by what it finds: a busy machine must not make one fail.
_NOT_JUDGED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
settings.register_profile("short", max_examples=15, deadline=None, suppress_health_check=_NOT_JUDGED)
settings.register_profile("ci", parent=settings.get_profile("short"), max_examples=100)
settings.load_profile("short")

# A broker that lives for seconds does not recover the cost of the optimizing compiler.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

pytest_plugins = ["tests.backing_services.kafka_fixtures", "tests.rating.ledger.fixtures"]

HANDLES = 3

MEMORY, ROOM = Path("/dev/shm"), 4 << 30  # noqa: S108 - a folder of random name in it
"""The file system in memory, and the bytes that must be free in it: several times what a run needs."""

Databases = Callable[[], ChdbDatabase]
"""Each call returns a new, migrated, empty database."""

HttpDatabases = Callable[[], ClickHouseDatabase]
"""Each call returns such a database of an engine in another process."""


_Database = TypeVar("_Database", bound=SqlClient)


def migrated_databases(named: Callable[[str], _Database]) -> Callable[[], _Database]:
    """Returns a function that creates and migrates a new database, which `named` opens."""
    numbers = itertools.count()

    def make() -> _Database:
        name = f"test_{next(numbers)}"
        migrate(named("default"), name)
        return named(name)

    return make


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The product runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(scope="session")
def no_disk() -> Iterator[Path]:
    """A folder for processes that no test kills: in memory if there is room, because their fsyncs prove nothing."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    with tempfile.TemporaryDirectory(prefix="tallyhouse-test-", dir=MEMORY if has_room else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def chdb(no_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chdb]:
    """The engine of this process, which can open only one data directory in its life."""
    limits = limits_in_a_cluster(tmp_path_factory.mktemp("cluster"))
    with Chdb(no_disk / "chdb", HANDLES, limits) as chdb:
        yield chdb


@pytest.fixture(scope="session")
def databases(chdb: Chdb) -> Databases:
    return migrated_databases(chdb.database)


@pytest.fixture(scope="session")
def docker() -> bool:
    """True if Docker answers, so that servers can run in containers."""
    return docker_answers()


@pytest.fixture(scope="session")
def postgresql(docker: bool) -> Iterator[PostgreSqlServer]:
    with best_ledger_server(docker=docker) as server:
        yield server


@pytest.fixture(scope="session")
def store_address(no_disk: Path, docker: bool) -> Iterator[ServerAddress]:
    """A store that no test may kill: a ClickHouse server if Docker answers, otherwise the product's own.

    Tests of the product's own server start one for themselves.
    """
    with best_store(no_disk / "store", docker=docker) as address:
        yield address


@pytest.fixture(scope="session")
def server(store_address: ServerAddress) -> Iterator[ClickHousePool]:
    with ClickHousePool(store_address, HANDLES, EngineLimits()) as server:
        yield server


@pytest.fixture(scope="session")
def http_databases(server: ClickHousePool) -> HttpDatabases:
    return migrated_databases(server.database)


@pytest.fixture(scope="session")
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for the engine's blocking calls."""
    with ThreadPoolExecutor(HANDLES) as executor:
        yield executor
