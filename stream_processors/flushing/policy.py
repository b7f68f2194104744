"""What may be tuned about a partition's flushes, apart from the state of any of them."""

from collections.abc import Awaitable, Callable

import msgspec

from schemas.window import DEDUPE_WINDOW

Pause = Callable[[int], Awaitable[None]]
"""Waits before the given repetition (1, 2, …) of a failed step."""


class FlushPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen: what state there is lives in `Partition`."""

    window: int = DEDUPE_WINDOW
    max_bytes: int = 24_000_000
    """How many bytes of frame payloads one flush may take: this bounds what is read at once."""
    max_raw_bytes: int = 20_000_000
    """The same, decompressed: events that are all alike become a hundred times smaller, and must fit into memory.
    The store needs several times as much for the insert: above its limit for one statement the flush fails for ever."""
    filter_keys: int = 2_000_000
    """How many keys a fresh filter has room for beyond those already known."""
