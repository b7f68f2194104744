"""One server for the attacks that it survives, and one with timeouts that a test can wait for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest_gateway.conftest import auth, in_memory_app
from tests.server_process import ServerProcess, free_port

__all__ = ["auth", "in_memory_app"]

STALL_SECONDS = 2
KEEP_ALIVE_SECONDS = 4


@pytest.fixture(scope="session")
def clickhouse_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def attacked(no_disk: Path, clickhouse_port: int) -> Iterator[ServerProcess]:
    with ServerProcess(no_disk / "attacked", clickhouse_port=str(clickhouse_port)) as server:
        yield server


@pytest.fixture(scope="session")
def impatient(no_disk: Path) -> Iterator[ServerProcess]:
    settings = {"stall_timeout": f"{STALL_SECONDS}s", "keep_alive": f"{KEEP_ALIVE_SECONDS}s"}
    with ServerProcess(no_disk / "impatient", **settings) as server:
        yield server
