"""Which database has the ledger, and the PostgreSQL server that we run ourselves."""

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
    """One that runs, with data as safe as in production."""
    installed = installed_postgresql()
    with passable_folder() as place, PostgreSql(place, installed) as running:
        yield running


def rows(server: PostgreSql, *statements: str) -> int:
    """How many rows the last of the statements gives."""
    engine = sa.create_engine(server.url())
    with engine.begin() as connection:
        for statement in statements:
            printed = connection.exec_driver_sql(statement)
        found = len(printed.fetchall()) if printed.returns_rows else 0
    engine.dispose()
    return found


def test_without_postgresql_the_ledger_is_sqlites_and_that_is_said(folder: ClusterFolder) -> None:
    """Unless PostgreSQL is asked for by name: then it is an error that says how to get it."""
    printed: list[str] = []
    assert choose_ledger(folder, LedgerChoice.BEST, NOT_INSTALLED, printed.append) is None
    assert "apt-get install postgresql" in printed[0]
    with pytest.raises(ToolMissing, match="apt-get install postgresql"):
        choose_ledger(folder, LedgerChoice.POSTGRESQL, NOT_INSTALLED, printed.append)


def test_a_ledger_stays_where_it_is(folder: ClusterFolder) -> None:
    """Whatever is installed later, or gone: another database would be an empty one."""
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


def test_a_killed_server_has_everything_when_it_is_started_again(server: PostgreSql) -> None:
    """At the same address; how it ended is known."""
    rows(server, "CREATE TABLE kept (n integer)", "INSERT INTO kept VALUES (1), (2)")
    server.kill()
    assert (server.pid, server.exit_code) == (None, -9)
    server.start()
    assert rows(server, "SELECT n FROM kept") == 2


def test_a_stop_does_not_wait_for_clients(server: PostgreSql) -> None:
    """One that stays connected would hold it for ever."""
    engine = sa.create_engine(server.url())
    with engine.connect():
        server.stop()
        assert (server.pid, server.exit_code) == (None, 0)
        server.start()
    engine.dispose()


def test_what_is_half_made_is_made_anew() -> None:
    """A first start that was cut short leaves nothing that the next one takes for data."""
    installed = installed_postgresql()
    with passable_folder() as place:
        (place / "new").mkdir(parents=True)
        (place / "new" / "PG_VERSION").write_text("15\n")
        with PostgreSql(place, installed) as running:
            assert rows(running, "SELECT 1") == 1
