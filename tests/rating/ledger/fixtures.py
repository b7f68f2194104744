"""Ledgers that are migrated already, without the time that migrating takes: copies of one that was."""

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


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path, empty_ledger: Path) -> str:
    """A ledger without anything in it, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(empty_ledger, tmp_path / 'ledger.db')}"
    url: str = request.getfixturevalue("postgresql").new_ledger()
    return url


judged_before = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
"""For what is refused before a ledger is asked to keep it: which one that would have been makes no difference."""
