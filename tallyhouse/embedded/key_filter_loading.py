"""Loads counted keys from the usage store into the key filters, in the background after the start."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from schemas.errors import StoreFailed
from schemas.logger import Logger
from stream_processors.ports import SeenKeys
from tallyhouse.embedded.key_filters import KeyFilters

_RETRY_SECONDS = 1.0


@asynccontextmanager
async def fill_in_background(
    filters: KeyFilters,
    seen: SeenKeys,
    partitions: int,
    newest: int,
    wait_caught_up: Callable[[], Awaitable[None]],
    logger: Logger,
) -> AsyncIterator[None]:
    """In the background: a start does not wait for it."""

    async def fill() -> None:
        # What waited in the log at the start is among the recent keys until it is counted; then it is read too.
        await _retry_fill(lambda: filters.fill(seen, partitions, newest), logger)
        await wait_caught_up()
        await _retry_fill(lambda: filters.fill(seen, partitions, newest), logger)

    filling = asyncio.create_task(fill())
    try:
        yield
    finally:
        filling.cancel()
        await asyncio.wait([filling])


async def _retry_fill(fill: Callable[[], Awaitable[None]], logger: Logger) -> None:
    while True:
        try:
            return await fill()
        except StoreFailed as error:
            logger.warning("counted keys could not be read, it is tried again", reason=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
