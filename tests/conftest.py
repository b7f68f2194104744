"""What tests of several packages share: one ClickHouse engine per test process, apart by database."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings

from stream_processors.backends.sql.chdb import Chdb, ChdbDatabase
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.sql.settings import EngineLimits

# A machine that is busy with something else must not make a property fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

HANDLES = 3

Databases = Callable[[], ChdbDatabase]
"""Each call gives a new, migrated, empty database."""


@pytest.fixture(scope="session")
def chdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chdb]:
    """A process can open only one data directory, ever: this is it."""
    with Chdb(tmp_path_factory.mktemp("chdb"), HANDLES, EngineLimits()) as chdb:
        yield chdb


@pytest.fixture(scope="session")
def databases(chdb: Chdb) -> Databases:
    numbers = itertools.count()

    def make() -> ChdbDatabase:
        name = f"test_{next(numbers)}"
        migrate(chdb.database("default"), name)
        return chdb.database(name)

    return make


@pytest.fixture(scope="session")
def threads() -> Iterator[ThreadPoolExecutor]:
    """Where the engine's blocking calls run."""
    with ThreadPoolExecutor(HANDLES) as executor:
        yield executor
