"""One relational database behind a small thread pool: whole transactions, never a cursor, cross the border."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from schemas.errors import Conflict, StoreFailed

BUSY_SECONDS = 5
THREADS = 4

_WRITE = "ledger_write"

_ONE_MOMENT = {"postgresql": {"isolation_level": "REPEATABLE READ"}}
"""A reader of several tables sees all of them as of one moment. SQLite's do so by themselves."""

Answer = TypeVar("Answer")


def create_engine(url: str) -> sa.Engine:
    """An engine for a `sqlite:///…` or `postgresql…://` URL, set up so that both keep the same promises."""
    address = sa.make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        patience = {"connect_timeout": BUSY_SECONDS}
        return sa.create_engine(address, connect_args=patience, pool_pre_ping=True, pool_size=2 * THREADS)
    engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS}, pool_size=2 * THREADS)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    """Durable commits, enforced references, readers beside one writer."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes its lock at once: one that first reads could find the ground moved under it."""
    writes = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def writers_of(engine: sa.Engine) -> int:
    """How many may write at a time. SQLite lets one, and the others would only sleep and look again."""
    return 1 if engine.dialect.name == "sqlite" else THREADS


class Database:
    """Runs functions of a connection, each in a transaction of its own, off the event loop.

    Readers and writers have threads of their own, so that nobody who only looks waits behind those who write.
    """

    def __init__(self, engine: sa.Engine, readers: Executor, writers: Executor) -> None:
        self._reader = engine.execution_options(**_ONE_MOMENT.get(engine.dialect.name, {}))
        self._writer = engine.execution_options(**{_WRITE: True})
        self._is_at_hand = engine.dialect.name == "sqlite"
        self._readers = readers
        self._writers = writers

    async def read(self, ask: Callable[[sa.Connection], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._readers, _run, self._reader, ask)

    async def glance(self, ask: Callable[[sa.Connection], Answer]) -> Answer:
        """The same for a few rows found by their key.

        In a SQLite file they are at hand: the way to a thread and back takes many times as long as looking, and beside
        a busy processor each step of it waits for the interpreter.
        """
        if self._is_at_hand:
            return _run(self._reader, ask)
        return await self.read(ask)

    async def write(self, change: Callable[[sa.Connection], Answer]) -> Answer:
        """All of `change` is committed when this returns, and none of it when this raises."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, _run, self._writer, change)


def _run(engine: sa.Engine, work: Callable[[sa.Connection], Answer]) -> Answer:
    with transaction(engine) as connection:
        return work(connection)


@contextmanager
def transaction(engine: sa.Engine, *, write: bool = False) -> Iterator[sa.Connection]:
    """A transaction whose failures of the database itself are told as StoreFailed.

    Changes look before they write; where two looked at the same moment and both wrote, the second is a Conflict.
    """
    if write:
        engine = engine.execution_options(**{_WRITE: True})
    try:
        with engine.begin() as connection:
            yield connection
    except exc.IntegrityError as error:
        raise Conflict("another request changed the same thing at the same moment; ask again to see how") from error
    except (exc.DBAPIError, exc.TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreFailed(f"the ledger did not answer: {cause}") from error
