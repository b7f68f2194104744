"""The words of the flush protocol as records."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

FLUSH_NUMBER_BOUND = 2**62
"""Below it is the number of every flush there will ever be."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The stored statement "flush `number` of `partition` is frames first..last, counted with meter set `version`".

    The first claim of a number wins, and everyone adopts it whole. An empty range (`last == first - 1`) is a
    barrier flush: it moves no frame and only raises the version.
    """

    partition: int
    number: int
    first: int
    last: int
    version: int

    @property
    def is_barrier(self) -> bool:
        return self.last < self.first


class FlushProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A partition's highest claim, and whether all its rows are known to be there."""

    claim: Claim
    done: bool


class Table(StrEnum):
    """The tables a flush writes, in the order it must write them.

    Events first, so that whoever sees usage can recount it; seen keys last, so that a redo does not
    take the flush's own events for duplicates.
    """

    EVENTS = "events"
    USAGE = "usage"
    REJECTS = "rejects"
    SEEN = "seen"


class ApplyResult(StrEnum):
    """What the store says to rows it was handed."""

    WRITTEN = "written"
    ALREADY_THERE = "already there"
    CLOSED = "closed"
    """The flush is done, by someone else: whoever hears this is late and must boot anew."""


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """For each partition the last flush done: the exact extent of what has been counted."""

    flushes: dict[int, int]


class SeenRows(msgspec.Struct, frozen=True):
    """What is known of some keys: parallel sequences, at most one entry per key (its latest arrival)."""

    key_hashes: Sequence[bytes]
    body_hashes: Sequence[int]
    arrivals: Sequence[int]


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far one partition is counted."""

    partition: int
    flush: int | None
    """The last flush done; None before the first."""
    next_offset: int
    end_offset: int
    lag_frames: int
    lag_seconds: float
    """Age of the oldest frame not yet counted."""
    state: str
    """`booting`, `counting`, `retrying`, `stuck: ` and what fails again and again, or `stopped: ` and the alarm's
    message. Who is stuck goes on when the cause is mended; who has stopped, at the next start."""
