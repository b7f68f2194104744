"""One relational database behind a small thread pool; SQLite's writers share one commit."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from rating.ledger.engine import WRITE_OPTION, transaction, translate_errors

Answer = TypeVar("Answer")
Write = Callable[[sa.Connection], Any]


class _PendingWrite(NamedTuple):
    change: Write
    answer: Future[Any]


class GroupCommit:
    """Makes changes in one thread, each as a whole or not at all, and answers once they are durable.

    A change sees the changes before it in the same commit; if that commit fails, all of them fail.
    """

    def __init__(self, engine: sa.Engine, thread: Executor) -> None:
        self._engine = engine
        self._thread = thread
        self._pending: deque[_PendingWrite] = deque()

    async def write(self, change: Callable[[sa.Connection], Answer]) -> Answer:
        """All of `change` is committed when this returns, and none of it when this raises."""
        answer: Future[Answer] = Future()
        self._pending.append(_PendingWrite(change, answer))
        # The commit finds nothing to do if the one before included this change.
        self._thread.submit(self._commit)
        return await asyncio.wrap_future(answer)

    def _commit(self) -> None:
        taken = self._drain()
        if not taken:
            return
        try:
            outcomes = self._apply([each.change for each in taken])
        except BaseException as error:
            outcomes = [error] * len(taken)
        for each, outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                each.answer.set_exception(outcome)
            else:
                each.answer.set_result(outcome)

    def _drain(self) -> list[_PendingWrite]:
        taken = [self._pending.popleft() for _ in range(len(self._pending))]
        return [each for each in taken if each.answer.set_running_or_notify_cancel()]

    def _apply(self, changes: Sequence[Write]) -> list[Any]:
        with transaction(self._engine) as connection:
            if len(changes) == 1:
                return [changes[0](connection)]
            return [_in_savepoint(connection, change) for change in changes]


def _in_savepoint(connection: sa.Connection, change: Write) -> Any:
    """The result of the change, or the error that it raises, which undoes this change and no other."""
    try:
        with translate_errors(), connection.begin_nested():
            return change(connection)
    except Exception as error:
        return error


THREADS = 4

_SNAPSHOT_READS = {"postgresql": {"isolation_level": "REPEATABLE READ"}}
"""A reader of several tables sees all of them as of one moment. SQLite does so by default."""


def writer_count(engine: sa.Engine) -> int:
    """The number of writer threads. SQLite allows one writer; further ones would only sleep and poll."""
    return 1 if _is_sqlite(engine) else THREADS


class Database:
    """Runs functions of a connection, each in its own transaction, off the event loop.

    Readers and writers have separate threads, so that a reader never waits behind writers.
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
        """Like `read`, for a few rows found by their key.

        With SQLite it runs on the event loop: the way to a thread and back takes many times as long as the look-up,
        and next to a busy processor each switch waits for the interpreter.
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
    return engine.dialect.name == "sqlite"


def _run(engine: sa.Engine, work: Callable[[sa.Connection], Answer]) -> Answer:
    with transaction(engine) as connection:
        return work(connection)
