"""Books to bill from: a real ledger, with usage counted by a plain loop."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rating.ledger.migrate import migrate
from rating.ledger.opening import open_ledger
from tests.contracts.api_keys import Clock
from tests.rating.runs.books import Books


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def empty_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("books") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path, empty_books: Path) -> str:
    """A migrated ledger without anything in it, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(empty_books, tmp_path / 'ledger.db')}"
    url: str = request.getfixturevalue("postgresql").new_ledger()
    return url


@pytest.fixture
def books(ledger_url: str) -> Iterator[Books]:
    clock = Clock()
    with open_ledger(ledger_url, clock, prepare=lambda _url: None) as ledger:
        yield Books(ledger, clock)
