"""Keeps the clocks of a cluster together: gateways stamp arrivals, and seen keys expire by these stamps."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ingest_gateway.ingest.arrival_clock import ArrivalClock, LogEnd, newest_in_log
from schemas.errors import Conflict
from schemas.logger import Logger
from schemas.timestamps import MINUTE, SECOND
from stream_processors.backends.sql.client import Row

MAX_CLOCK_SKEW = MINUTE
FOLLOW_SECONDS = 10.0

_NOW = "SELECT toUnixTimestamp64Micro(now64(6))"


class ArrivalLog(LogEnd, Protocol):
    """The end of the log, which other processes move."""

    async def refresh_ends(self) -> None: ...


class ClockSource(Protocol):
    """The usage store, whose clock is the reference."""

    async def rows(self, sql: str) -> Sequence[Row]: ...


async def check_clock(store: ClockSource, clock: Callable[[], int]) -> None:
    """Raises Conflict if this machine's clock is more than a minute off the usage store's."""
    before = clock()
    ((stores,),) = await store.rows(_NOW)
    skew = max(before - stores, stores - clock())
    if skew > MAX_CLOCK_SKEW:
        ahead = "ahead of" if before > stores else "behind"
        raise Conflict(
            f"this machine's clock is {skew // SECOND} s {ahead} the usage store's: set the wrong one right (both "
            "should follow a time server); arrivals stamped by a wrong clock make keys expire at a wrong time"
        )


async def follow_other_gateways(
    arrivals: ArrivalClock,
    log: ArrivalLog,
    partitions: int,
    logger: Logger,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Raises this gateway's arrivals to the newest in the log, every 10 s, until cancelled.

    A retry must not look younger here than its first attempt at another gateway.
    """
    while True:
        await sleep(FOLLOW_SECONDS)
        try:
            await log.refresh_ends()
            arrivals.not_before(await newest_in_log(log, partitions))
        except Exception as error:
            logger.warning("the newest arrivals of other gateways could not be read", reason=str(error))
