"""The records of the flush protocol: claim, progress, extent in a table, seen keys, and the status of a partition."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

FLUSH_NUMBER_BOUND = 2**62
"""Every flush number is below this."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The stored statement "flush `number` of `partition` is frames first..last, counted with meter set `version`".

    The first claim of a number wins, and every worker adopts it whole. An empty range (`last == first - 1`) is a
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
    """A partition's highest claim, and whether the flush is recorded as done."""

    claim: Claim
    done: bool


class Table(StrEnum):
    """The tables a flush writes, in the order it must write them.

    Events first, so that visible usage can always be recounted; seen keys last, so that a redo does not
    take the flush's own events for duplicates.
    """

    EVENTS = "events"
    USAGE = "usage"
    REJECTS = "rejects"
    SEEN = "seen"


class ApplyResult(StrEnum):
    """The store's answer to an insert."""

    WRITTEN = "written"
    ALREADY_THERE = "already there"
    """The table holds the piece, or another worker's piece of that number."""
    CLOSED = "closed"
    """Another worker has finished the flush; this one is late and must boot."""


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a flush, or of a chunk of a backfill, a table holds.

    The rows are applied in numbered pieces, in order. Where a piece ends is for its writer to choose, and the first
    writer wins: the piece itself says where it ends, and the next one begins there, whatever the limits of its writer.
    """

    pieces: int = 0
    through: str = ""
    """The end of the last piece, in order of work: a meter of a flush, or a flush of a backfill; '' if nothing is
    there, and if `whole`."""
    whole: bool = False
    """True if the table says of itself that no piece is missing; `rejects` never does."""
    rows: int = 0
    """How many rows of it are in `rejects`, also those of other workers; 0 for the other tables."""


NOTHING = Extent()


class ApplyOutcome(NamedTuple):
    """The store's answer to an insert, and what the table holds after it."""

    result: ApplyResult
    extent: Extent


class FlushRows(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a flush its tables have when it is done, whichever workers wrote them.

    Rows of `usage` are merged in the background, so its blocks are counted: each has a receipt, which stays.
    """

    month: int
    """The month of all of the rows; 0 if they were not counted."""
    events: int = 0
    pieces: int = 0
    rejects: int = 0
    seen: int = 0

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that have rows of the flush."""
        rows = (self.events, self.pieces, self.rejects, self.seen)
        return tuple(table for table, count in zip(Table, rows, strict=True) if count)


UNCOUNTED = FlushRows(month=0)


class SeenRows(msgspec.Struct, frozen=True):
    """The stored rows of some keys, as parallel sequences: at most one entry per key, that of its latest arrival."""

    key_hashes: Sequence[bytes]
    body_hashes: Sequence[int]
    arrivals: Sequence[int]


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far one partition is processed."""

    partition: int
    flush: int | None
    """The last flush done; None before the first."""
    next_offset: int
    end_offset: int
    lag_frames: int
    lag_seconds: float
    """Age of the oldest frame not yet counted: by its arrival, or for how long the reporting process has seen it wait,
    whichever is more."""
    foreign_records: int = 0
    """Records in the log that are no frames of a gateway, and are not counted."""
    state: str
    """`booting`, `counting`, `retrying`, `stuck: ` and the repeated failure, or `stopped: ` and the alarm's message.
    A stuck partition continues when the cause is fixed, a stopped one at the next start."""
