"""How far usage is counted."""

import msgspec


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """For each partition the last flush done: the exact extent of what has been counted."""

    flushes: dict[int, int]
