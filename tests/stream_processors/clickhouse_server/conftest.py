"""One server for the tests of a process, in which each test has its own database."""

import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.stream_processors.clickhouse_server.process import EndpointProcess


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointProcess]:
    with EndpointProcess(tmp_path_factory.mktemp("endpoint"), "--statements", "3") as process:
        yield process


@pytest.fixture(scope="session")
def new_database(endpoint: EndpointProcess) -> Callable[[], str]:
    numbers = itertools.count()

    def make() -> str:
        name = f"test_{next(numbers)}"
        endpoint.client().command(f"CREATE DATABASE {name}")
        return name

    return make


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def http(endpoint: EndpointProcess, database: str) -> Iterator[httpx.Client]:
    with endpoint.http(params={"database": database}) as client:
        yield client
