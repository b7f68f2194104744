"""The relational engine, set up so that SQLite and PostgreSQL give the same guarantees, and its transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from schemas.errors import Conflict, StoreFailed

BUSY_SECONDS = 5
_RETRY_SECONDS = 0.01
CONNECTIONS = 8

WRITE_OPTION = "ledger_write"
"""The execution option of an engine whose transactions write."""


def create_engine(url: str) -> sa.Engine:
    """The engine of a `sqlite:///…` or `postgresql…://` URL."""
    address = sa.make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        options = {"connect_timeout": BUSY_SECONDS}
        return sa.create_engine(address, connect_args=options, pool_pre_ping=True, pool_size=CONNECTIONS)
    engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS}, pool_size=CONNECTIONS)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    """Durable commits, enforced references, and readers concurrent with one writer."""
    connection.isolation_level = None
    _enable_write_ahead_log(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _enable_write_ahead_log(connection: Any) -> None:
    """Retries while busy: every process that opens a new file switches its journal mode, and SQLite queues none."""
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except connection.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or monotonic() > deadline:
                raise
            sleep(_RETRY_SECONDS)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes its lock at once: after a read, the lock could fail because the data has changed."""
    writes = connection.get_execution_options().get(WRITE_OPTION)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def transaction(engine: sa.Engine, *, write: bool = False) -> Iterator[sa.Connection]:
    """Commits on leaving, and rolls back on an error."""
    if write:
        engine = engine.execution_options(**{WRITE_OPTION: True})
    with translate_errors(), engine.begin() as connection:
        yield connection


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns failures of the database into StoreFailed, and a violated constraint into Conflict.

    Changes check before they write, so a constraint fails only if two of them checked at the same moment.
    """
    try:
        yield
    except exc.IntegrityError as error:
        raise Conflict("another request changed the same thing at the same moment; ask again to see how") from error
    except (exc.DBAPIError, exc.TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreFailed(f"the ledger did not answer: {cause}") from error
