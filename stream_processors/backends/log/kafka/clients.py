"""Binds Kafka clients to the event loop they were made in, and closes a client within a bounded time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.errors import StoreFailed

_Result = TypeVar("_Result")


class LoopBound:
    """Runs work on the loop that the clients belong to, from any loop. On that loop itself the detour costs nothing."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self) -> None:
        """Binds to the running loop, in which the clients are made."""
        self._loop = asyncio.get_running_loop()

    def unbind(self) -> None:
        """The clients are closed: every later `run` raises StoreFailed."""
        self._loop = None

    async def run(self, work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """Does the work on the clients' loop. Raises StoreFailed when no client is open."""
        loop = self._loop
        if loop is None:
            raise StoreFailed("the log is not open: it is used between `async with`")
        if loop is asyncio.get_running_loop():
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), loop))


async def close_client(client: AIOKafkaConsumer | AIOKafkaProducer, seconds: float) -> None:
    """Closes the client within a bounded time. Its errors are dropped: it owes nobody an answer any more."""
    # In a task of its own: `stop` cancels the client's tasks, and takes the end of one that was cancelled between two
    # fetches for a cancellation of its caller.
    await _wait_bounded(asyncio.create_task(client.stop()), seconds)
    # A `stop` that broke off half-way leaves the connections open, and a second one does nothing.
    connections = client.client if isinstance(client, AIOKafkaProducer) else client._client  # noqa: SLF001 - there is no other way
    await _wait_bounded(asyncio.create_task(connections.close()), seconds)


async def _wait_bounded(ending: "asyncio.Task[None]", seconds: float) -> None:
    try:
        await asyncio.wait({ending}, timeout=seconds)
    finally:
        ending.cancel()
        ending.add_done_callback(_forget)


def _forget(ended: "asyncio.Task[None]") -> None:
    # An outcome that is never retrieved would be logged.
    if not ended.cancelled():
        ended.exception()
