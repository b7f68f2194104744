"""Migrations lead to the tables the code knows, from anywhere, any number of times."""

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
from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate, require_newest
from rating.ledger.schema import metadata
from schemas.errors import Conflict, IdentityChanged, StoreFailed


def test_migrations_make_the_declared_tables(ledger_url: str) -> None:
    """Nothing differs between the migrated database and the tables the code uses."""
    migrate(ledger_url)
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
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


def test_many_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    """Each would be the one to give the file its write-ahead log: all get in, whoever was first."""

    def open_it(url: str) -> str:
        engine = create_engine(url)
        together.wait()
        with engine.connect() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        engine.dispose()
        return str(mode)

    together = Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        for number in range(100):
            modes = pool.map(open_it, [f"sqlite:///{tmp_path}/{number}.db"] * 8)
            assert list(modes) == ["wal"] * 8


def test_who_may_not_migrate_says_who_may(ledger_url: str) -> None:
    """A process that shares the ledger does not change it under the others."""
    for _ in range(2):
        with pytest.raises(Conflict, match="run `tallyhouse migrate`"):
            require_newest(ledger_url)
    migrate(ledger_url)
    require_newest(ledger_url)


def test_a_ledger_of_a_newer_release_is_left_alone(ledger_url: str) -> None:
    """A version this release does not know is refused with what to do."""
    migrate(ledger_url)
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(IdentityChanged, match="newer"):
        migrate(ledger_url)
    engine.dispose()


def test_what_was_made_is_there_after_a_restart(ledger_url: str) -> None:
    """A ledger opened again knows its first key, and is not bootstrapped anew."""
    with open_ledger(ledger_url, lambda: 1, prepare=migrate) as ledger:
        made = asyncio.run(ledger.accounts.bootstrap(None))
    assert made is not None
    with open_ledger(ledger_url, lambda: 2, prepare=migrate) as ledger:
        assert asyncio.run(ledger.accounts.bootstrap(None)) is None
        found = asyncio.run(ledger.api_keys.find(made[1]))
    assert found is not None
    assert found.id == made[0].id


def test_no_secret_is_stored(tmp_path: Path) -> None:
    """Nowhere in the database's files is a key's secret to be read."""
    with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lambda: 1, prepare=migrate) as ledger:
        made = asyncio.run(ledger.accounts.bootstrap(None))
        assert made is not None
        secret = made[1].removeprefix("ak_live_").encode()
        assert not any(secret in path.read_bytes() for path in tmp_path.iterdir())


def test_a_locked_ledger_is_a_failed_store(tmp_path: Path) -> None:
    """Where the database does not answer, the caller learns that it may ask again."""
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


def test_a_server_that_is_not_there_is_a_failed_store() -> None:
    """Nobody listening is told as such, and may be tried again."""
    with pytest.raises(StoreFailed, match="did not answer"):
        migrate("postgresql://nobody@/nothing?host=/nonexistent")
