"""One relational database behind a small thread pool: whole transactions, never a cursor, cross the border."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import sqlalchemy as sa

from rating.ledger.engine import WRITE_OPTION, transaction
from rating.ledger.together import GroupCommit

THREADS = 4

_SNAPSHOT_READS = {"postgresql": {"isolation_level": "REPEATABLE READ"}}
"""A reader of several tables sees all of them as of one moment. SQLite's do so by themselves."""

Answer = TypeVar("Answer")


def writer_count(engine: sa.Engine) -> int:
    """How many may write at a time. SQLite lets one, and the others would only sleep and look again."""
    return 1 if _is_sqlite(engine) else THREADS


class Database:
    """Runs functions of a connection, each in a transaction of its own, off the event loop.

    Readers and writers have threads of their own, so that nobody who only looks waits behind those who write.
    """

    def __init__(self, engine: sa.Engine, readers: Executor, writers: Executor) -> None:
        self._reader = engine.execution_options(**_SNAPSHOT_READS.get(engine.dialect.name, {}))
        self._writer = engine.execution_options(**{WRITE_OPTION: True})
        self._is_sqlite = _is_sqlite(engine)
        self._readers = readers
        self._writers = writers
        self._group_commit = GroupCommit(self._writer, writers) if self._is_sqlite else None

    async def read(self, query: Callable[[sa.Connection], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._readers, _run, self._reader, query)

    async def read_inline(self, query: Callable[[sa.Connection], Answer]) -> Answer:
        """The same for a few rows found by their key.

        In a SQLite file they are at hand: the way to a thread and back takes many times as long as looking, and beside
        a busy processor each step of it waits for the interpreter.
        """
        if self._is_sqlite:
            return _run(self._reader, query)
        return await self.read(query)

    async def write(self, change: Callable[[sa.Connection], Answer]) -> Answer:
        """All of `change` is committed when this returns, and none of it when this raises."""
        if self._group_commit is not None:
            return await self._group_commit.write(change)
        return await asyncio.get_running_loop().run_in_executor(self._writers, _run, self._writer, change)


def _is_sqlite(engine: sa.Engine) -> bool:
    """A file of this machine, with room for one writer."""
    return engine.dialect.name == "sqlite"


def _run(engine: sa.Engine, work: Callable[[sa.Connection], Answer]) -> Answer:
    with transaction(engine) as connection:
        return work(connection)
