"""When frames arrived: stamps that never go back, whatever the machine's clock does, not even over a restart.

Seen keys expire by these stamps. If they went back, a retry could come that is young enough to be taken in, and whose
key has expired already: it would count twice. So where the clock is behind what is stored, arrivals stand still until
it has caught up.
"""

from collections.abc import Callable
from typing import Protocol

from schemas.logger import Logger
from schemas.metrics import Gauge, Metrics
from schemas.timestamps import SECOND, to_iso

REPORTED_FROM = SECOND
"""A clock that is less than this behind is being adjusted; from there on somebody should look."""


class LogEnd(Protocol):
    """The newest frames."""

    def end_offset(self, partition: int) -> int: ...

    async def oldest_arrival(self, partition: int, start: int) -> int | None: ...


class NewestKeys(Protocol):
    """The newest keys: their frames may be gone from the log."""

    async def last_arrival(self, partition: int) -> int | None: ...


async def newest_arrival(log: LogEnd, seen: NewestKeys, partitions: int) -> int:
    """The newest stamp that anything stored bears; 0 where nothing is."""
    keys = [await seen.last_arrival(partition) for partition in range(partitions)]
    return max(await newest_in_log(log, partitions), *(arrival or 0 for arrival in keys))


async def newest_in_log(log: LogEnd, partitions: int) -> int:
    """The newest stamp of a partition's last frame; 0 where there are none."""
    last = [max(log.end_offset(partition) - 1, 0) for partition in range(partitions)]
    frames = [await log.oldest_arrival(partition, offset) for partition, offset in enumerate(last)]
    return max(arrival or 0 for arrival in frames)


class ArrivalClock:
    """The stamps of one process, from the newest one before it on."""

    def __init__(self, clock: Callable[[], int], newest: int, metrics: Metrics, logger: Logger) -> None:
        self._clock = clock
        self._newest = newest
        self._metrics = metrics
        self._logger = logger
        self._behind = 0
        self._reported = False

    def stamp(self) -> int:
        """The arrival of what comes now, in microseconds since 1970."""
        now = self._clock()
        behind = max(self._newest - now, 0)
        if behind or self._behind:
            self._report(behind)
        self._newest = max(self._newest, now)
        return self._newest

    def not_before(self, newest: int) -> None:
        """Another process stamped this: what comes here from now on does not come before it."""
        self._newest = max(self._newest, newest)

    def _report(self, behind: int) -> None:
        self._behind = behind
        self._metrics.set(Gauge.CLOCK_BEHIND, behind / SECOND)
        if behind >= REPORTED_FROM and not self._reported:
            self._reported = True
            self._logger.error(
                "the clock is behind events that are stored: until it has caught up, all that comes is judged as if it "
                "arrived at their time (see 'The clock was wrong' in deploy/README.md)",
                behind_seconds=behind // SECOND,
                arrival=to_iso(self._newest),
            )
        elif self._reported and not behind:
            self._reported = False
            self._logger.info("the clock has caught up with the events that are stored")
