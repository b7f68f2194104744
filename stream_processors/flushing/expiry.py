"""Expiry of seen keys by whole months, by the arrival of the oldest frame not yet counted.

The wall clock only ever delays it: keys that are kept too long cost space, and keys dropped too early exactness.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from schemas.errors import LogGap
from schemas.flush import FlushProgress
from schemas.metrics import Counter, Metrics, NullMetrics
from schemas.timestamps import DAY, month_of
from schemas.window import DEDUPE_WINDOW
from stream_processors.ports import Claims, FrameLog, LogTail, SeenMonths

MARGIN = DAY
"""For gateways whose clocks differ."""


def expired_months(months: Iterable[int], oldest_uncounted_arrival: int, window: int) -> list[int]:
    """The months (such as 202611) that end more than `window` and a day before the oldest arrival not yet counted.

    `oldest_uncounted_arrival` is the minimum over all partitions; a partition with no waiting frames contributes the
    arrival of its newest key. A flush takes frames of one arrival month only, so no key of a month arrived after it.
    """
    kept_from = month_of(oldest_uncounted_arrival - window - MARGIN)
    return sorted(month for month in set(months) if month < kept_from)


class ExpiryPorts(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of expiry."""

    log: FrameLog
    tail: LogTail
    claims: Claims
    seen: SeenMonths
    clock: Callable[[], int]
    metrics: Metrics = NullMetrics()


class Expiry:
    """Drops expired months of seen keys. It has no state: the store and the log decide, whatever worker runs it."""

    def __init__(self, ports: ExpiryPorts, partitions: int, window: int = DEDUPE_WINDOW) -> None:
        self._ports = ports
        self._partitions = range(partitions)
        self._window = window

    async def step(self) -> Sequence[int]:
        """Drops the expired months and returns them. Raises LogGap if the log lacks frames that were never counted."""
        months = await self._ports.seen.seen_months()
        oldest = await self._oldest_arrival()
        if oldest is None:
            return []
        # Arrivals of a gateway whose clock was ahead must not let keys expire that retries may still meet.
        expired = expired_months(months, min(oldest, self._ports.clock()), self._window)
        for month in expired:
            await self._ports.seen.preserve_replay_keys(month)
            await self._ports.seen.drop_seen_month(month)
            self._ports.metrics.count(Counter.EXPIRED_MONTHS)
        return expired

    async def _oldest_arrival(self) -> int | None:
        """A lower bound of the arrivals of all frames not yet counted; None if there are no frames and no keys."""
        arrivals = [await self._arrival_of_next(partition) for partition in self._partitions]
        return min((arrival for arrival in arrivals if arrival is not None), default=None)

    async def _arrival_of_next(self, partition: int) -> int | None:
        """A lower bound of the arrivals of the partition's frames not yet counted, future ones included.

        Arrivals never decrease, so every later frame arrives after the newest key. A partition without keys and frames
        (None) delays nothing: its frames will only be compared with keys of the same partition.
        """
        # Read before the claims: frames that are counted and deleted after this are no gap.
        held_from = await self._ports.log.first_offset(partition)
        offset = _next_offset(await self._ports.claims.progress(partition))
        if held_from > offset:
            raise LogGap(
                f"partition {partition}: frames {offset} to {held_from - 1} were never counted and are no longer in "
                "the log. Until they are restored their arrival is unknown, and no seen keys are dropped."
            )
        waiting = await self._ports.tail.oldest_arrival(partition, offset)
        counted = await self._ports.seen.last_arrival(partition)
        # The newest key even if frames wait: the next process takes its lower bound of arrivals from this key.
        return min((arrival for arrival in (waiting, counted) if arrival is not None), default=None)


def _next_offset(progress: FlushProgress | None) -> int:
    """The offset of the first frame that is not known to be counted."""
    if progress is None:
        return 0
    return progress.claim.last + 1 if progress.done else progress.claim.first
