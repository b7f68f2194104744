"""A store process that all clusters of a test run share, and clusters on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ingest_gateway.cluster.installation import Installation
from tests.rating.ledger.postgresql import Server, started_server
from tests.store_process import StoreProcess


@pytest.fixture(scope="session")
def store_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path_factory.mktemp("cluster_store")) as process:
        yield process


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    with started_server() as server:
        yield server


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, sqlite_ledger: str) -> str:
    """An empty database on each engine."""
    if request.param == "sqlite":
        return sqlite_ledger
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def installation(
    tmp_path: Path,
    real_broker: str,
    topic_name: Callable[[], str],
    store_process: StoreProcess,
    sqlite_ledger: str,
) -> Installation:
    """Nothing of it is made yet."""
    address = store_process.address
    return Installation(tmp_path, real_broker, topic_name(), f"http://{address.host}:{address.port}", sqlite_ledger)
