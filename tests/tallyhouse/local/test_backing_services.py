"""The choice of the ledger's database, and the private PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from schemas.errors import Conflict
from tallyhouse.local.background_program import ToolMissing
from tallyhouse.local.backing_services import choose_ledger
from tallyhouse.local.cluster_folder import ClusterFolder, LedgerChoice
from tallyhouse.local.postgresql import PostgreSql
from tests.backing_services.postgresql import installed_postgresql, passable_folder

NOT_INSTALLED = {"POSTGRESQL_HOME": "/nowhere"}


@pytest.fixture
def folder(tmp_path: Path) -> ClusterFolder:
    return ClusterFolder(tmp_path)


@pytest.fixture
def server() -> Iterator[PostgreSql]:
    """A running server with production settings."""
    installed = installed_postgresql()
    with passable_folder() as place, PostgreSql(place, installed) as running:
        yield running


def rows(server: PostgreSql, *statements: str) -> int:
    """The number of rows that the last statement returns."""
    engine = sa.create_engine(server.url())
    with engine.begin() as connection:
        for statement in statements:
            printed = connection.exec_driver_sql(statement)
        found = len(printed.fetchall()) if printed.returns_rows else 0
    engine.dispose()
    return found


def test_without_postgresql_the_ledger_is_in_sqlite_with_a_notice(folder: ClusterFolder) -> None:
    """If PostgreSQL is required, its absence is an error that says how to install it."""
    printed: list[str] = []
    assert choose_ledger(folder, LedgerChoice.BEST, NOT_INSTALLED, printed.append) is None
    assert "apt-get install postgresql" in printed[0]
    with pytest.raises(ToolMissing, match="apt-get install postgresql"):
        choose_ledger(folder, LedgerChoice.POSTGRESQL, NOT_INSTALLED, printed.append)


def test_a_ledger_stays_where_it_is(folder: ClusterFolder) -> None:
    """Another database would be empty, so installing or removing PostgreSQL later changes nothing."""
    printed: list[str] = []
    folder.sqlite.touch()
    assert choose_ledger(folder, LedgerChoice.BEST, {}, printed.append) is None
    with pytest.raises(Conflict, match="is in sqlite already"):
        choose_ledger(folder, LedgerChoice.POSTGRESQL, {}, printed.append)
    folder.sqlite.unlink()
    (folder.postgresql / "data").mkdir(parents=True)
    with pytest.raises(Conflict, match="is in postgresql already"):
        choose_ledger(folder, LedgerChoice.SQLITE, {}, printed.append)
    with pytest.raises(ToolMissing):
        choose_ledger(folder, LedgerChoice.BEST, NOT_INSTALLED, printed.append)
    assert printed == []


def test_a_killed_server_keeps_its_data(server: PostgreSql) -> None:
    """It restarts at the same address, and its exit code is known."""
    rows(server, "CREATE TABLE kept (n integer)", "INSERT INTO kept VALUES (1), (2)")
    server.kill()
    assert (server.pid, server.exit_code) == (None, -9)
    server.start()
    assert rows(server, "SELECT n FROM kept") == 2


def test_a_stop_does_not_wait_for_clients(server: PostgreSql) -> None:
    """A client that stays connected would delay it without limit."""
    engine = sa.create_engine(server.url())
    with engine.connect():
        server.stop()
        assert (server.pid, server.exit_code) == (None, 0)
        server.start()
    engine.dispose()


def test_an_incomplete_data_directory_is_made_again() -> None:
    """A first start that was interrupted leaves nothing that the next start uses."""
    installed = installed_postgresql()
    with passable_folder() as place:
        (place / "new").mkdir(parents=True)
        (place / "new" / "PG_VERSION").write_text("15\n")
        with PostgreSql(place, installed) as running:
            assert rows(running, "SELECT 1") == 1
