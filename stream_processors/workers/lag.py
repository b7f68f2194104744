"""The lag of a partition behind the end of its log."""

from typing import NamedTuple

from schemas.timestamps import SECOND
from stream_processors.ports import LogTail


class Lag(NamedTuple):
    """The frames in the log that are not yet counted."""

    end_offset: int
    frames: int
    seconds: float
    """The age of the oldest of them."""


async def lag_of(tail: LogTail, partition: int, next_offset: int, now: int) -> Lag:
    """The lag of a partition whose frames are counted up to but excluding `next_offset`. Raises StoreFailed."""
    end = tail.end_offset(partition)
    oldest = await tail.oldest_arrival(partition, next_offset)
    seconds = 0.0 if oldest is None else max(now - oldest, 0) / SECOND
    return Lag(end, max(end - next_offset, 0), seconds)
