"""The event loop that Kafka's clients belong to, and the way there from any other."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

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
