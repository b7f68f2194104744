"""Arrival stamps that never go back, whatever the machine's clock does, and across restarts.

Seen keys expire by these stamps. If a stamp went back, a retry could be young enough to be accepted although its key
had expired, and it would count twice. So while the clock is behind the newest stored arrival, the stamp stays there.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from schemas.errors import Alarm
from schemas.logger import Logger
from schemas.metrics import Gauge, Metrics
from schemas.timestamps import SECOND, to_iso

REPORTED_FROM = SECOND
"""From this lag on, the clock is wrong and not just being adjusted: an operator must look. It is logged again
whenever it has doubled."""


class LogEnd(Protocol):
    """The end of the log."""

    def end_offset(self, partition: int) -> int: ...

    async def oldest_arrival(self, partition: int, start: int) -> int | None: ...


class NewestKeys(Protocol):
    """The newest seen keys, whose frames may no longer be in the log."""

    async def last_arrival(self, partition: int) -> int | None: ...


async def known_arrivals(log: LogEnd, seen: NewestKeys, partitions: int) -> Sequence[int]:
    """The newest stamps of all partitions, in the log and among the seen keys."""
    keys = [await seen.last_arrival(partition) for partition in range(partitions)]
    in_log = await last_arrivals(log, partitions)
    return [*in_log.values(), *(arrival for arrival in keys if arrival is not None)]


async def newest_arrival(log: LogEnd, seen: NewestKeys, partitions: int) -> int:
    """The newest stamp in the log and among the seen keys; 0 if both are empty."""
    return max(await known_arrivals(log, seen, partitions), default=0)


_LAST_OFFSETS = 8
"""How many offsets before the end are searched for a frame: the last ones may hold none."""


async def last_arrivals(log: LogEnd, partitions: int) -> Mapping[int, int]:
    """The stamp of the last frame of each partition that has one."""
    found = {partition: await _last_arrival(log, partition) for partition in range(partitions)}
    return {partition: arrival for partition, arrival in found.items() if arrival is not None}


async def _last_arrival(log: LogEnd, partition: int) -> int | None:
    end = log.end_offset(partition)
    for offset in range(end - 1, max(end - 1 - _LAST_OFFSETS, -1), -1):
        # A record that is no frame, and one that cannot be read, stop no gateway.
        with suppress(Alarm):
            arrival = await log.oldest_arrival(partition, offset)
            if arrival is not None:
                return arrival
    return None


class ArrivalClock:
    """The stamps of one process, starting at `newest`."""

    def __init__(self, clock: Callable[[], int], newest: int, metrics: Metrics, logger: Logger) -> None:
        self._clock = clock
        self._newest = newest
        self._metrics = metrics
        self._logger = logger
        self._behind = 0
        self._reported = 0

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
        if behind >= max(REPORTED_FROM, 2 * self._reported):
            self._reported = behind
            self._logger.error(
                "the clock is behind stored events: until it has caught up, every event is judged as if it arrived at "
                "the newest stored arrival (see 'The clock was wrong' in deploy/README.md)",
                behind_seconds=behind // SECOND,
                arrival=to_iso(self._newest),
            )
        elif self._reported and not behind:
            self._reported = 0
            self._logger.info("the clock has caught up with the stored events")
