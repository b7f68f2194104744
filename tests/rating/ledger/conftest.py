"""Ledgers to test on: in memory, on SQLite, and on the tests' own PostgreSQL."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from rating.ledger.ledger import Ledger, open_ledger
from rating.ledger.memory import MemoryAccounts, MemoryApiKeys, MemoryMeters, MemoryRejectReplays, MemoryState
from rating.ledger.migrate import migrate
from schemas.account import ApiKey, Mode
from schemas.ids import AccountId
from tests.backing_services.postgresql import PostgreSqlServer
from tests.contracts.api_keys import ManualClock

MemoryLedger = tuple[MemoryAccounts, MemoryApiKeys, MemoryMeters, MemoryRejectReplays]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server: PostgreSqlServer = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Ledger | MemoryLedger]:
    if request.param == "memory":
        state = MemoryState(clock, _counted("c{:024}"), _counted("{:032}"))
        yield MemoryAccounts(state), MemoryApiKeys(state), MemoryMeters(state), MemoryRejectReplays(state)
        return
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        url = request.getfixturevalue("postgresql").new_database()
    with open_ledger(url, clock, prepare=migrate) as opened:
        yield opened


def _counted(form: str) -> Callable[[], str]:
    """A generator of unique strings."""
    numbers = count()
    return lambda: form.format(next(numbers))


@pytest.fixture
def accounts(ledger: Ledger | MemoryLedger) -> object:
    return ledger[0]


@pytest.fixture
def api_keys(ledger: Ledger | MemoryLedger) -> object:
    return ledger[1]


@pytest.fixture
def meters(ledger: Ledger | MemoryLedger) -> object:
    return ledger[2]


@pytest.fixture
def replays(ledger: Ledger | MemoryLedger) -> object:
    return ledger[3]


@pytest.fixture
def first_key(ledger: Ledger | MemoryLedger) -> ApiKey:
    made = asyncio.run(ledger[0].bootstrap(None))
    assert made is not None
    return made[0]


@pytest.fixture
def live(first_key: ApiKey) -> AccountId:
    return first_key.account


@pytest.fixture
def test(ledger: Ledger | MemoryLedger, live: AccountId) -> AccountId:
    return asyncio.run(ledger[0].account_for(live, Mode.TEST))
