"""How far the counting of a partition is behind its log."""

from typing import NamedTuple

from schemas.timestamps import SECOND
from stream_processors.ports import LogTail


class Lag(NamedTuple):
    """What is in the log and not yet counted."""

    end_offset: int
    frames: int
    seconds: float
    """Age of the oldest of them."""


async def lag_of(tail: LogTail, partition: int, next_offset: int, now: int) -> Lag:
    """Of a partition that is counted up to `next_offset`."""
    end = tail.end_offset(partition)
    oldest = await tail.oldest_arrival(partition, next_offset)
    seconds = 0.0 if oldest is None else max(now - oldest, 0) / SECOND
    return Lag(end, max(end - next_offset, 0), seconds)
