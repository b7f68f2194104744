"""A usage store to read from."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream_processors.backends.sql.client import SqlThreads
from tests.conftest import Databases, HttpDatabases
from tests.stream_processors.backends.reading.flushes import Flushes


@pytest.fixture(scope="session", params=["databases", "http_databases"], ids=["in this process", "over HTTP"])
def new_store(request: pytest.FixtureRequest, threads: ThreadPoolExecutor) -> Callable[[], SqlThreads]:
    """Everything that is read is read from an engine in this process, and from one behind HTTP."""
    databases: Databases | HttpDatabases = request.getfixturevalue(request.param)
    return lambda: SqlThreads(databases(), threads)


@pytest.fixture(scope="session")
def usage_store(new_store: Callable[[], SqlThreads]) -> SqlThreads:
    """One store for all tests that keep apart by meter."""
    return new_store()


@pytest.fixture
def flushes(new_store: Callable[[], SqlThreads]) -> Flushes:
    """A store of its own, and the flushes to fill it."""
    return Flushes(new_store())


@pytest.fixture(scope="session")
def fresh_code() -> Callable[[], str]:
    """Meter codes that no test has used before."""
    numbers = itertools.count()
    return lambda: f"m{next(numbers)}"
