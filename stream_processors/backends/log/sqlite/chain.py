"""The chain of a partition's frames: a value after each frame that depends on it and on every frame before it.

Two logs that have the same value at an offset have the same history up to there. Each row carries the value before and
after it, so a damaged row is recognised by itself.
"""

import struct
from collections.abc import Sequence

from schemas.errors import LogGap
from schemas.hashing import chained_digest

OFFSET_BITS = 40
_TRIMMED = struct.Struct(">qqq")

REMEDY = (
    "Nothing more is accepted, because that could be lost. Restore the whole data directory from one backup; or run "
    "`tallyhouse log check`, which lists what is missing, and `tallyhouse log accept-loss`, which continues without it."
)
"""How to mend a log that lacks frames."""

FrameRow = tuple[int, int, bytes, int, int]
"""Place, arrival, payload, and the chain before and after the frame."""


def rowid_of(partition: int, offset: int) -> int:
    return partition << OFFSET_BITS | offset


def offset_of(place: int) -> int:
    return place & ((1 << OFFSET_BITS) - 1)


def chain_start(log_id: str, partition: int) -> int:
    """The chain before the first frame: other logs begin with other values."""
    return chained_digest(partition, b"start", log_id.encode())


def chain_after(previous: int, place: int, arrival: int, payload: bytes) -> int:
    """Raises OverflowError for an arrival beyond 64 bits."""
    return chained_digest(previous, place.to_bytes(8) + arrival.to_bytes(8, signed=True), payload)


def trimmed_digest(partition: int, last: int, chain: int) -> int:
    """The checksum of a row of `trimmed`."""
    return chained_digest(0, b"trimmed", _TRIMMED.pack(partition, last, chain))


def missing_frame(partition: int, offset: int) -> LogGap:
    return LogGap(f"partition {partition}: frame {offset} is missing from the log's file, which is damaged. {REMEDY}")


def is_intact(row: Sequence[object]) -> bool:
    """True if no byte of the row has changed since it was written. A damaged value may even have another type."""
    place, arrival, payload, previous, chain = row
    if not isinstance(place, int) or not isinstance(arrival, int) or not isinstance(previous, int):
        return False
    return isinstance(payload, bytes) and previous >= 0 and chain == chain_after(previous, place, arrival, payload)


def check_row(partition: int, row: FrameRow, expected: tuple[int, int] | None = None) -> FrameRow:
    """The row. Raises LogGap if it is damaged, or does not continue at the `expected` place and chain."""
    place, previous = row[0], row[3]
    if expected is not None and place != expected[0]:
        raise missing_frame(partition, offset_of(expected[0]))
    if not is_intact(row) or (expected is not None and previous != expected[1]):
        raise LogGap(f"partition {partition}: frame {offset_of(place)} is damaged in the log's file. {REMEDY}")
    return row
