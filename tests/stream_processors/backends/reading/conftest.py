"""A usage store to read from."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream_processors.backends.sql.client import SqlThreads
from tests.conftest import Databases
from tests.stream_processors.backends.reading.flushes import Flushes


@pytest.fixture(scope="session")
def usage_store(databases: Databases, threads: ThreadPoolExecutor) -> SqlThreads:
    """One store for all tests that keep apart by meter."""
    return SqlThreads(databases(), threads)


@pytest.fixture
def flushes(databases: Databases, threads: ThreadPoolExecutor) -> Flushes:
    """A store of its own, and the flushes to fill it."""
    return Flushes(SqlThreads(databases(), threads))


@pytest.fixture(scope="session")
def fresh_code() -> Callable[[], str]:
    """Meter codes that no test has used before."""
    numbers = itertools.count()
    return lambda: f"m{next(numbers)}"
