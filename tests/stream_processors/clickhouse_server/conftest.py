"""One server for the tests of a process, in which each test has its own database."""

import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.stream_processors.clickhouse_server.process import ServerProcess


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server_process"), "--statements", "3") as process:
        yield process


@pytest.fixture(scope="session")
def new_database(server_process: ServerProcess) -> Callable[[], str]:
    numbers = itertools.count()

    def make() -> str:
        name = f"test_{next(numbers)}"
        server_process.client().command(f"CREATE DATABASE {name}")
        return name

    return make


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def http(server_process: ServerProcess, database: str) -> Iterator[httpx.Client]:
    with server_process.http(params={"database": database}) as client:
        yield client
