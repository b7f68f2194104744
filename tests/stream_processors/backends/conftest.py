"""Usage stores to read from."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.client import AsyncSqlClient
from tests.conftest import Databases, HttpDatabases
from tests.stream_processors.backends.sql.step_by_step_flushes import StepByStepFlushes, StoreClients
from tests.stream_processors.backends.sql.two_shards import AlternatingShards, two_shards

NewStore = Callable[[], StoreClients]


@pytest.fixture(scope="session")
def of_shards(chdb: Chdb, databases: Databases, threads: ThreadPoolExecutor) -> NewStore:
    """Two shards behind one reading database."""
    names = (f"sharded_{number}" for number in itertools.count())
    return lambda: two_shards(chdb, next(names), databases, threads)


@pytest.fixture(scope="session")
def in_this_process(databases: Databases, threads: ThreadPoolExecutor) -> NewStore:
    return lambda: of_one(AsyncSqlClient(databases(), threads))


@pytest.fixture(scope="session")
def over_http(http_databases: HttpDatabases, threads: ThreadPoolExecutor) -> NewStore:
    return lambda: of_one(AsyncSqlClient(http_databases(), threads))


def of_one(store: AsyncSqlClient) -> StoreClients:
    return StoreClients(store, [store])


@pytest.fixture(
    scope="session", params=["in_this_process", "over_http", pytest.param("of_shards", marks=pytest.mark.long)]
)
def new_store(request: pytest.FixtureRequest) -> NewStore:
    """Tests read from an engine in this process, from one behind HTTP, and from shards as on a cluster."""
    made: NewStore = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="session")
def usage_store(new_store: NewStore) -> AsyncSqlClient:
    """One store for all tests that use meters of their own."""
    opened = new_store()
    return AlternatingShards(opened) if len(opened.shards) > 1 else opened.reading


@pytest.fixture
def flushes(new_store: NewStore) -> StepByStepFlushes:
    """A store of its own, and the flushes to fill it."""
    return StepByStepFlushes(new_store())


@pytest.fixture(scope="session")
def fresh_code() -> Callable[[], str]:
    """Meter codes that no test has used before."""
    numbers = itertools.count()
    return lambda: f"m{next(numbers)}"
