"""Waiting for the servers that a process needs at its start: they may be starting too."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from schemas.errors import Busy, StoreFailed
from schemas.logger import Logger

_POLL_SECONDS = 0.5

_Opened = TypeVar("_Opened")


async def retry_until_available(seconds: float, opening: Callable[[], Awaitable[_Opened]], logger: Logger) -> _Opened:
    """Try again while a store does not answer; what it says at the end of the time is raised."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            return await opening()
        except (StoreFailed, Busy) as error:
            if loop.time() >= deadline:
                raise
            logger.info("waiting for what this process needs", reason=str(error))
        await asyncio.sleep(_POLL_SECONDS)
