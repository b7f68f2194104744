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


class FlushPace:
    """How much the next flush may take: as much as the last ones showed to be quick.

    A flush costs what its meters and its rejects cost, of which its size says nothing: a thousand meters make ten
    thousand events the work of a minute. Frames of all accounts wait in one line, and usage shows a flush when it is
    done, so long ones would hide what is counted already.
    """

    def __init__(self, policy: FlushPolicy) -> None:
        self._most = policy.max_raw_bytes
        self._slow_seconds = policy.slow_seconds
        self.raw_bytes = max(policy.max_raw_bytes // _FIRST_PART, min(_SMALLEST, policy.max_raw_bytes))
        """The limit of the next flush after decompression."""

    def took(self, raw_bytes: int, seconds: float) -> None:
        """Adjusts the limit after a flush of this size and duration."""
        if seconds > self._slow_seconds:
            quick = int(raw_bytes * self._slow_seconds / seconds)
            self.raw_bytes = min(self.raw_bytes, max(quick, _SMALLEST))
        elif 2 * seconds <= self._slow_seconds and 2 * raw_bytes > self.raw_bytes:
            # A flush far below the limit says nothing of one at the limit.
            self.raw_bytes = min(2 * self.raw_bytes, self._most)
