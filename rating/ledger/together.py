"""Changes that wait for the one writer at the same moment share a commit: it is the commit that takes its time."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from rating.ledger.engine import told, transaction

Answer = TypeVar("Answer")
Change = Callable[[sa.Connection], Any]


class _Waiting(NamedTuple):
    change: Change
    answer: Future[Any]


class Together:
    """Makes changes in one thread, each whole or not at all. All are answered once they are durable.

    A change sees what those before it in the same commit did; if that commit fails, all of them have failed.
    """

    def __init__(self, engine: sa.Engine, thread: Executor) -> None:
        self._engine = engine
        self._thread = thread
        self._waiting: deque[_Waiting] = deque()

    async def write(self, change: Callable[[sa.Connection], Answer]) -> Answer:
        """All of `change` is committed when this returns, and none of it when this raises."""
        answer: Future[Answer] = Future()
        self._waiting.append(_Waiting(change, answer))
        self._thread.submit(self._commit)  # Finds nothing to do where the one before took this change along.
        return await asyncio.wrap_future(answer)

    def _commit(self) -> None:
        taken = self._take()
        if not taken:
            return
        try:
            outcomes = self._made([each.change for each in taken])
        except BaseException as error:
            outcomes = [error] * len(taken)
        for each, outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                each.answer.set_exception(outcome)
            else:
                each.answer.set_result(outcome)

    def _take(self) -> list[_Waiting]:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        return [each for each in taken if each.answer.set_running_or_notify_cancel()]

    def _made(self, changes: Sequence[Change]) -> list[Any]:
        with transaction(self._engine) as connection:
            if len(changes) == 1:
                return [changes[0](connection)]
            return [_alone(connection, change) for change in changes]


def _alone(connection: sa.Connection, change: Change) -> Any:
    """What it answers, or the error that it raises: then nothing of it stays, and all of the others does."""
    try:
        with told(), connection.begin_nested():
            return change(connection)
    except Exception as error:
        return error
