"""Tunable limits of a partition's flushes."""

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
    piece: PieceBounds = PieceBounds()
    """How much one insert may hold. Nothing else bounds what a flush makes of its events: each meter adds rows, and may
    reject every event."""
    filter_keys: int = 2_000_000
    """How many keys a new filter has room for beyond those already stored."""
