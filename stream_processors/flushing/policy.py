"""Tunable limits of a partition's flushes, and the pace that keeps each of them short."""

from collections.abc import Awaitable, Callable

import msgspec

from schemas.window import DEDUPE_WINDOW
from stream_processors.core.flush_plan import PieceBounds

Pause = Callable[[int], Awaitable[None]]
"""Sleeps before the given retry (1, 2, …) of a failed step."""


class FlushPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a flush, the same for all partitions; `Partition` holds the state of each."""

    window: int = DEDUPE_WINDOW
    max_bytes: int = 24_000_000
    """How many bytes of frame payloads one flush may take."""
    max_raw_bytes: int = 20_000_000
    """The same after decompression, which must fit into memory: similar events compress a hundredfold. The store needs
    several times as much for the insert, and above its limit for one statement every attempt would fail."""
    slow_seconds: float = 4.0
    """A flush that takes longer makes the next ones smaller."""
    piece: PieceBounds = PieceBounds()
    """How much one insert may hold. Nothing else bounds what a flush makes of its events: each meter adds rows, and may
    reject every event."""
    filter_keys: int = 2_000_000
    """How many keys a new filter has room for beyond those already stored."""


_FIRST_PART = 8
"""A partition begins with this part of the largest flush."""

_SMALLEST = 64_000

_HELPS, _HELPS_MUCH = 0.2, 0.6
"""Which part of its growth a flush must gain in speed. All of it would be a flush that takes as long as the smaller."""

_FADING = 0.95
"""What remains of the best rate with each flush: meters, events and machines change."""


class FlushPace:
    """How much the next flush may take: as much as the last ones showed to be quick.

    A flush costs what its meters and its rejects cost, of which its size says nothing: a thousand meters make ten
    thousand events the work of a minute. Frames of all accounts wait in one line, and usage shows a flush when it is
    done, so long ones would hide what is counted already.

    A part of the cost is the same for any size, above all the rows of many meters. Where that part is most of a flush,
    smaller ones would only be more of them: then the limit stays where at least half of the best rate is reached.
    """

    def __init__(self, policy: FlushPolicy) -> None:
        self._most = policy.max_raw_bytes
        self._slow_seconds = policy.slow_seconds
        self._least = min(_SMALLEST, policy.max_raw_bytes)
        self._best_rate = 0.0
        """The best rate of late, in bytes per second."""
        self._before_growth: tuple[int, float] | None = None
        """Size and rate of the flush that made the limit grow, until the next one shows whether that helped."""
        self.raw_bytes = max(policy.max_raw_bytes // _FIRST_PART, self._least)
        """The limit of the next flush after decompression."""

    def took(self, raw_bytes: int, seconds: float) -> None:
        """Adjusts the limit after a flush of this size and duration; one without frames says nothing."""
        if not raw_bytes:
            return
        if seconds > self._slow_seconds:
            self._after_slow(raw_bytes, seconds)
        elif 2 * seconds <= self._slow_seconds and 2 * raw_bytes > self.raw_bytes:
            # A flush far below the limit says nothing of one at the limit.
            self.raw_bytes = min(2 * self.raw_bytes, self._most)
            self._forget()

    def _after_slow(self, raw_bytes: int, seconds: float) -> None:
        rate = raw_bytes / seconds
        gain = self._gain_of_growth(raw_bytes, rate)
        if gain is not None and gain < _HELPS:
            # The size was not the reason: everything is slower than it was.
            self._best_rate, self._least = rate, min(_SMALLEST, self._most)
        self._best_rate = max(rate, _FADING * self._best_rate)
        if raw_bytes < self._most and (2 * rate < self._best_rate or (gain or 0) > _HELPS_MUCH):
            self._before_growth = raw_bytes, rate
            self.raw_bytes = self._least = min(2 * max(raw_bytes, self._least), self._most)
        else:
            quick = int(raw_bytes * self._slow_seconds / seconds)
            self.raw_bytes = min(self.raw_bytes, max(quick, self._least))

    def _gain_of_growth(self, raw_bytes: int, rate: float) -> float | None:
        """How much faster a larger flush was than the one before, as a part of how much larger it was."""
        before, self._before_growth = self._before_growth, None
        if before is None or raw_bytes <= before[0]:
            return None
        return (rate / before[1] - 1) / (raw_bytes / before[0] - 1)

    def _forget(self) -> None:
        self._least = min(_SMALLEST, self._most)
        self._best_rate = 0.0
        self._before_growth = None
