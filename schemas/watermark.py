"""The watermark: how far usage is counted.

`stream_processors.backends.sql.usage_reader` reads it together with the usage, and says why the two agree exactly.
"""

import msgspec


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """For each partition the last flush done: the exact extent of what has been counted."""

    flushes: dict[int, int]
