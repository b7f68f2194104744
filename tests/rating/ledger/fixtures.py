"""Empty ledgers at the newest revision, copied from one that was migrated."""

import shutil
from pathlib import Path

import pytest

from rating.ledger.migrate import migrate


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, empty_ledger: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_ledger, tmp_path / 'ledger.db')}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """An empty ledger: on SQLite, and in `make test-long` on PostgreSQL too."""
    url: str = (
        request.getfixturevalue("sqlite_url")
        if request.param == "sqlite"
        else request.getfixturevalue("postgresql").new_ledger()
    )
    return url


on_every_ledger = pytest.mark.parametrize("migrated_url", ["sqlite", "postgresql"], indirect=True)
"""For what the engines can differ in, also in `make test`: races, types, collations, triggers and constraints."""

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
"""For what the API refuses before it reaches the ledger."""
