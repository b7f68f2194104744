"""Fixtures of a cluster on the broker and the store that all tests share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_processors.backends.sql.clickhouse_http import ServerAddress
from tests.tallyhouse.cluster.installation import Installation


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def broker_address(real_broker: str) -> str:
    """The shared broker; tests that kill brokers override this fixture."""
    return real_broker


@pytest.fixture
def installation(
    tmp_path: Path,
    broker_address: str,
    topic_name: Callable[[], str],
    store_address: ServerAddress,
    sqlite_ledger: str,
) -> Installation:
    """A cluster without topic or tables yet."""
    clickhouse = f"http://{store_address.host}:{store_address.port}"
    installation = Installation(tmp_path, broker_address, topic_name(), clickhouse, sqlite_ledger)
    installation.settings["CLICKHOUSE_USER"] = store_address.user
    if store_address.password:
        installation.settings["CLICKHOUSE_PASSWORD"] = store_address.password
    return installation
