"""Binds Kafka clients to the event loop they were made in, and closes a consumer within bounded time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer

from schemas.errors import StoreFailed

_Answer = TypeVar("_Answer")


class LoopBound:
    """Clients of one loop, used from all of them. From their own loop the way costs nothing."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self) -> None:
        """Here is where the clients are made."""
        self._loop = asyncio.get_running_loop()

    def unbind(self) -> None:
        """They are gone: whoever still comes is told so."""
        self._loop = None

    async def run(self, work: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
        """Do the work where the clients are."""
        loop = self._loop
        if loop is None:
            raise StoreFailed("the log is not open: it is used between `async with`")
        if loop is asyncio.get_running_loop():
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), loop))


async def close_consumer(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """Close it for good, within a bounded time. What it complains of is nothing: it has only read.

    It ends in a task of its own, for it takes the end of its own tasks, cancelled in the middle of a pause between two
    fetches, for a cancellation of whoever stops it.
    """
    await _wait_bounded(asyncio.create_task(consumer.stop()), seconds)
    # A stop that broke off in the middle leaves the connections open, and a second one does nothing.
    await _wait_bounded(asyncio.create_task(consumer._client.close()), seconds)  # noqa: SLF001 - there is no other way


async def _wait_bounded(ending: "asyncio.Task[None]", seconds: float) -> None:
    try:
        await asyncio.wait({ending}, timeout=seconds)
    finally:
        ending.cancel()
        ending.add_done_callback(_forget)


def _forget(ended: "asyncio.Task[None]") -> None:
    """Ask for its outcome, so that nobody complains that none has."""
    if not ended.cancelled():
        ended.exception()
