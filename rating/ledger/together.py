"""Changes that wait for the one writer at the same moment share a commit: it is the commit that takes its time."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from rating.ledger.engine import transaction, translate_errors

Answer = TypeVar("Answer")
Write = Callable[[sa.Connection], Any]


class _PendingWrite(NamedTuple):
    change: Write
    answer: Future[Any]


class GroupCommit:
    """Makes changes in one thread, each whole or not at all. All are answered once they are durable.

    A change sees what those before it in the same commit did; if that commit fails, all of them have failed.
    """

    def __init__(self, engine: sa.Engine, thread: Executor) -> None:
        self._engine = engine
        self._thread = thread
        self._pending: deque[_PendingWrite] = deque()

    async def write(self, change: Callable[[sa.Connection], Answer]) -> Answer:
        """All of `change` is committed when this returns, and none of it when this raises."""
        answer: Future[Answer] = Future()
        self._pending.append(_PendingWrite(change, answer))
        self._thread.submit(self._commit)  # Finds nothing to do where the one before took this change along.
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
    """What it answers, or the error that it raises: then nothing of it stays, and all of the others does."""
    try:
        with translate_errors(), connection.begin_nested():
            return change(connection)
    except Exception as error:
        return error
