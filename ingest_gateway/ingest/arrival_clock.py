"""Arrival stamps that never go back, whatever the machine's clock does, and across restarts.

Seen keys expire by these stamps. If a stamp went back, a retry could be young enough to be accepted although its key
had expired, and it would count twice. So while the clock is behind the newest stored arrival, the stamp stays there.
"""

from collections.abc import Callable
from typing import Protocol

from schemas.logger import Logger
from schemas.metrics import Gauge, Metrics
from schemas.timestamps import SECOND, to_iso

REPORTED_FROM = SECOND
"""From this lag on, the clock is wrong and not just being adjusted: an operator must look."""


class LogEnd(Protocol):
    """The end of the log."""

    def end_offset(self, partition: int) -> int: ...

    async def oldest_arrival(self, partition: int, start: int) -> int | None: ...


class NewestKeys(Protocol):
    """The newest seen keys, whose frames may no longer be in the log."""

    async def last_arrival(self, partition: int) -> int | None: ...


async def newest_arrival(log: LogEnd, seen: NewestKeys, partitions: int) -> int:
    """The newest stamp in the log and among the seen keys; 0 if both are empty."""
    keys = [await seen.last_arrival(partition) for partition in range(partitions)]
    return max(await newest_in_log(log, partitions), *(arrival or 0 for arrival in keys))


async def newest_in_log(log: LogEnd, partitions: int) -> int:
    """The newest stamp among the last frames of all partitions; 0 if there are none."""
    last = [max(log.end_offset(partition) - 1, 0) for partition in range(partitions)]
    frames = [await log.oldest_arrival(partition, offset) for partition, offset in enumerate(last)]
    return max(arrival or 0 for arrival in frames)


class ArrivalClock:
    """The stamps of one process, starting at `newest`."""

    def __init__(self, clock: Callable[[], int], newest: int, metrics: Metrics, logger: Logger) -> None:
        self._clock = clock
        self._newest = newest
        self._metrics = metrics
        self._logger = logger
        self._behind = 0
        self._reported = False

    def stamp(self) -> int:
        """The arrival of a frame made now, in microseconds since 1970."""
        now = self._clock()
        behind = max(self._newest - now, 0)
        if behind or self._behind:
            self._report(behind)
        self._newest = max(self._newest, now)
        return self._newest

    def not_before(self, newest: int) -> None:
        """Keeps later stamps from being older than `newest`, which another process stamped."""
        self._newest = max(self._newest, newest)

    def _report(self, behind: int) -> None:
        self._behind = behind
        self._metrics.set(Gauge.CLOCK_BEHIND, behind / SECOND)
        if behind >= REPORTED_FROM and not self._reported:
            self._reported = True
            self._logger.error(
                "the clock is behind stored events: until it has caught up, every event is judged as if it arrived at "
                "the newest stored arrival (see 'The clock was wrong' in deploy/README.md)",
                behind_seconds=behind // SECOND,
                arrival=to_iso(self._newest),
            )
        elif self._reported and not behind:
            self._reported = False
            self._logger.info("the clock has caught up with the stored events")
