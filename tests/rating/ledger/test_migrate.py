"""Migrations make the declared tables, from any version, any number of times."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rating.ledger.engine import create_engine, transaction
from rating.ledger.invoice_tables import invoices
from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate, require_newest
from schemas.errors import Conflict, IdentityChanged, StoreFailed


def test_migrations_make_the_declared_tables(ledger_url: str) -> None:
    """Nothing differs between the migrated database and the tables the code uses."""
    migrate(ledger_url)
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), invoices.metadata) == []
    engine.dispose()


def test_migrating_again_changes_nothing(ledger_url: str) -> None:
    """A second run, or four at once on an empty database, leave one counter row at zero."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [ledger_url] * 4))
    migrate(ledger_url)
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id, version FROM meter_sets").all() == [(1, 0)]
    engine.dispose()


def test_many_processes_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    """All of them try to switch the file to a write-ahead log, and all succeed."""

    def open_it(url: str) -> str:
        engine = create_engine(url)
        barrier.wait()
        with engine.connect() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        engine.dispose()
        return str(mode)

    barrier = Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        for number in range(100):
            modes = pool.map(open_it, [f"sqlite:///{tmp_path}/{number}.db"] * 8)
            assert list(modes) == ["wal"] * 8


def test_a_process_that_does_not_migrate_names_the_command_that_does(ledger_url: str) -> None:
    """A process that shares the ledger does not migrate it under the others."""
    for _ in range(2):
        with pytest.raises(Conflict, match="run `tallyhouse migrate`"):
            require_newest(ledger_url)
    migrate(ledger_url)
    require_newest(ledger_url)


def test_a_ledger_of_a_newer_release_is_left_alone(ledger_url: str) -> None:
    """A version that this release does not know is refused, with what to do."""
    migrate(ledger_url)
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(IdentityChanged, match="newer"):
        migrate(ledger_url)
    engine.dispose()


def test_a_ledger_keeps_its_data_over_a_restart(ledger_url: str) -> None:
    """A ledger opened again has its first key, and is not bootstrapped twice."""
    with open_ledger(ledger_url, lambda: 1, prepare=migrate) as ledger:
        made = asyncio.run(ledger.accounts.bootstrap(None))
    assert made is not None
    with open_ledger(ledger_url, lambda: 2, prepare=migrate) as ledger:
        assert asyncio.run(ledger.accounts.bootstrap(None)) is None
        found = asyncio.run(ledger.api_keys.find(made[1]))
    assert found is not None
    assert found.id == made[0].id


def test_no_secret_is_stored(tmp_path: Path) -> None:
    """No file of the database contains a key's secret."""
    with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lambda: 1, prepare=migrate) as ledger:
        made = asyncio.run(ledger.accounts.bootstrap(None))
        assert made is not None
        secret = made[1].removeprefix("ak_live_").encode()
        assert not any(secret in path.read_bytes() for path in tmp_path.iterdir())


def test_a_locked_ledger_is_a_failed_store(tmp_path: Path) -> None:
    """A lock that is not released in time is a StoreFailed, which the caller may retry."""
    path = tmp_path / "ledger.db"
    migrate(f"sqlite:///{path}")
    engine = create_engine(f"sqlite:///{path}?timeout=0")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="locked"):
        _write(engine)
    holder.close()
    engine.dispose()


def _write(engine: sa.Engine) -> None:
    with transaction(engine, write=True):
        pass


def test_an_unreachable_server_is_a_failed_store() -> None:
    """The error says that the ledger did not answer, and the caller may retry."""
    with pytest.raises(StoreFailed, match="did not answer"):
        migrate("postgresql://nobody@/nothing?host=/nonexistent")
