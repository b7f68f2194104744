"""Expiry of seen keys by whole months, by the arrival of the oldest frame not yet counted; no wall clock is read."""

from collections.abc import Iterable, Sequence

import msgspec

from schemas.errors import LogGap
from schemas.flush import FlushProgress
from schemas.metrics import Counter, Metrics, NullMetrics
from schemas.timestamps import DAY, month_of
from schemas.window import DEDUPE_WINDOW
from stream_processors.ports import Claims, FrameLog, LogTail, SeenMonths

MARGIN = DAY


def expired_months(months: Iterable[int], oldest_uncounted_arrival: int, window: int) -> list[int]:
    """The months (such as 202611) that end before anything a frame not yet counted could be compared with.

    `oldest_uncounted_arrival` is taken over all partitions; where a partition has nothing waiting, what it counted
    last stands for it. A flush takes frames of one arrival month only, so a month holds no arrival later than itself.
    """
    kept_from = month_of(oldest_uncounted_arrival - window - MARGIN)
    return sorted(month for month in set(months) if month < kept_from)


class ExpiryPorts(msgspec.Struct, frozen=True, kw_only=True):
    """All that expiry reaches of the outside."""

    log: FrameLog
    tail: LogTail
    claims: Claims
    seen: SeenMonths
    metrics: Metrics = NullMetrics()


class Expiry:
    """Remembers nothing: the store and the log say all there is to know, whoever counts the partitions."""

    def __init__(self, ports: ExpiryPorts, partitions: int, window: int = DEDUPE_WINDOW) -> None:
        self._ports = ports
        self._partitions = range(partitions)
        self._window = window

    async def step(self) -> Sequence[int]:
        """Drop what has expired; which months that was."""
        months = await self._ports.seen.seen_months()
        oldest = await self._oldest_arrival()
        if oldest is None:
            return []
        expired = expired_months(months, oldest, self._window)
        for month in expired:
            await self._ports.seen.preserve_replay_keys(month)
            await self._ports.seen.drop_seen_month(month)
            self._ports.metrics.count(Counter.EXPIRED_MONTHS)
        return expired

    async def _oldest_arrival(self) -> int | None:
        """No frame still to be counted arrived before this; None where none ever was, and no key is kept."""
        arrivals = [await self._arrival_of_next(partition) for partition in self._partitions]
        return min((arrival for arrival in arrivals if arrival is not None), default=None)

    async def _arrival_of_next(self, partition: int) -> int | None:
        """No frame still to be counted here arrived before this, or will.

        Arrivals never go back, so the next frame comes after the last one counted, whatever waits. A partition without
        keys or frames holds up nothing: its frames meet the keys of their own partition alone.
        """
        # Before the claims are read: what is counted after that, and let go of, is no gap.
        held_from = await self._ports.log.first_offset(partition)
        offset = _next_offset(await self._ports.claims.progress(partition))
        if held_from > offset:
            raise LogGap(
                f"partition {partition}: frames {offset} to {held_from - 1} were never counted and are no longer in "
                "the log. Until they are restored nobody knows how old they are, and no seen keys are dropped."
            )
        waiting = await self._ports.tail.oldest_arrival(partition, offset)
        counted = await self._ports.seen.last_arrival(partition)
        # The newest key even where frames wait: it outlives them, and tells the next process where arrivals were.
        return min((arrival for arrival in (waiting, counted) if arrival is not None), default=None)


def _next_offset(progress: FlushProgress | None) -> int:
    """The first frame that is not known to be counted."""
    if progress is None:
        return 0
    return progress.claim.last + 1 if progress.done else progress.claim.first
