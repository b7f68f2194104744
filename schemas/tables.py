"""The usage store's tables as Arrow layouts: what a flush hands to the store.

The SQL files in `schemas/sql` declare the same columns for the engine; a test compares the two.
Every row of one flush carries the arrival month of that flush, so that an insert is one block in one table
partition, and appears whole or not at all.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from schemas.flush import NOTHING, Extent, Table
from schemas.hashing import KEY_BYTES, body_digest
from schemas.meter import Meter
from schemas.quantity import PRECISION, SCALE

QUANTITY = pa.decimal128(PRECISION, SCALE)
MICROS = pa.timestamp("us", tz="UTC")
HASH = pa.binary(KEY_BYTES)

PLACE = [
    ("p", pa.uint16()),
    ("n", pa.uint64()),
    ("offset", pa.uint64()),
    ("place", pa.uint32()),
]
"""Where an event is: partition, flush, frame, place in the frame. Unique, and in order of arrival."""

EVENTS = pa.schema(
    [
        *PLACE,
        ("account", pa.string()),
        ("event_name", pa.string()),
        ("customer_id", pa.string()),
        ("timestamp", MICROS),
        ("idempotency_key", pa.string()),
        ("key_hash", HASH),
        ("body_hash", pa.uint64()),
        ("properties", pa.string()),
        ("flags", pa.uint8()),
        ("request_id", pa.string()),
        ("arrival", MICROS),
        ("month", pa.uint32()),
    ]
)

LATEST = pa.struct(
    [
        ("timestamp", pa.int64()),
        ("arrival", pa.int64()),
        ("p", pa.uint16()),
        ("offset", pa.uint64()),
        ("place", pa.uint32()),
        ("value", QUANTITY),
    ]
)
"""Compared from left to right: the newest event, on a tie the last arrival, then the place."""

USAGE = pa.schema(
    [
        ("account", pa.string()),
        ("meter", pa.string()),
        ("customer_id", pa.string()),
        ("minute", pa.uint32()),
        ("grp", pa.string()),
        ("sum", QUANTITY),
        ("count", pa.uint64()),
        ("min", QUANTITY),
        ("max", QUANTITY),
        ("latest", LATEST),
        ("uniques", pa.list_(HASH)),
        ("month", pa.uint32()),
    ]
)
"""Delta rows: merging any two of them, in any order, gives the same usage. `minute` is seconds since 1970.

`grp` is a JSON array of the group values in the order of the meter's `group_by`: strings, or null for a missing one.
A string is itself, any other value is its JSON: sorted keys, no spaces, numbers without trailing zeros.
`min` and `max` are null, and `latest` is `NO_LATEST`, for meters of another aggregation.
A row with meter '' is a receipt: its customer is 'p/n', or 'backfill/account/meter/p/chunk'. The receipt of the last
piece has an empty `grp`; the others have the piece's number and its end there: 'piece/account/meter', or 'piece/n'.
"""

NO_LATEST = {"timestamp": -(2**63), "arrival": 0, "p": 0, "offset": 0, "place": 0, "value": 0}

REJECTS = pa.schema(
    [
        *PLACE,
        ("origin", pa.string()),
        ("account", pa.string()),
        ("meter", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("event_name", pa.string()),
        ("customer_id", pa.string()),
        ("timestamp", MICROS),
        ("idempotency_key", pa.string()),
        ("properties", pa.string()),
        ("flags", pa.uint8()),
        ("request_id", pa.string()),
        ("replay_of", pa.string()),
        ("arrival", MICROS),
        ("month", pa.uint32()),
        ("piece", pa.uint32()),
    ]
)
"""Events that could not be counted, whole, with the reason. `meter` is '' if the event itself is rejected, as a
conflict.

`origin` is '' for a flush's rejects, and the backfill's receipt for those of a backfill. `piece` is the number of the
block that brought the row, among the blocks of its flush or of its origin.
"""

SEEN = pa.schema(
    [
        ("p", pa.uint16()),
        ("key_hash", HASH),
        ("body_hash", pa.uint64()),
        ("arrival", pa.int64()),
        ("n", pa.uint64()),
        ("month", pa.uint32()),
    ]
)

LAYOUTS: dict[Table, pa.Schema] = {
    Table.EVENTS: EVENTS,
    Table.USAGE: USAGE,
    Table.REJECTS: REJECTS,
    Table.SEEN: SEEN,
}


def flush_receipt(partition: int, number: int) -> str:
    """The customer of the extra usage row of a flush."""
    return f"{partition}/{number}"


def backfill_receipt(account: str, meter: str, partition: int, chunk: int) -> str:
    """The customer of the extra usage row of one chunk of a meter's backfill."""
    return f"backfill/{account}/{meter}/{partition}/{chunk}"


def partition_of_backfill(receipt: str) -> int:
    """The partition whose events the chunk with this receipt counts."""
    return int(receipt.rsplit("/", 2)[1])


CONFLICTS = ("", "")
"""The place of conflicts, which no meter has rejected, among the meters of a flush: before all of them."""


def meter_place(account: str, meter: str) -> str:
    """The end of a piece whose last rows are those of the meter."""
    return f"{account}/{meter}"


def place_of(through: str) -> tuple[str, str]:
    """The account and the meter at the end of a piece. In this order flushes write the rows of their meters."""
    account, _, meter = through.partition("/")
    return account, meter


def piece_receipt(piece: int, through: str) -> str:
    """The `grp` of a receipt: empty for the last piece, whose `through` is ''."""
    return f"{piece}/{through}" if through else ""


def covers(end: str, meter: Meter) -> bool:
    """Whether the piece of a flush whose receipt has this `grp`, or one before it, has the rows of the meter."""
    return not end or place_of(end.partition("/")[2]) >= (meter.account, meter.code)


def extent_of(receipts: Iterable[str]) -> Extent:
    """What `usage` holds, by the `grp` of the receipts found."""
    found = set(receipts)
    if "" in found:
        return Extent(pieces=len(found), whole=True)
    last = max((tuple(receipt.split("/", 1)) for receipt in found), key=lambda last: int(last[0]), default=None)
    return Extent(pieces=int(last[0]) + 1, through=last[1]) if last else NOTHING


def extent_with(table: Table, before: Extent, rows: pa.Table) -> Extent:
    """What the table holds of a flush when `rows`, the piece after `before`, are in it too."""
    pieces = before.pieces + 1
    if table is Table.USAGE:
        (end,) = rows["grp"].filter(pc.equal(rows["meter"], "")).to_pylist()
        return Extent(pieces=pieces, through=end.partition("/")[2], whole=not end)
    if table is Table.REJECTS:
        account, meter = (rows[name][-1].as_py() for name in ("account", "meter"))
        through = meter_place(*((account, meter) if meter else CONFLICTS))
        return Extent(pieces=pieces, through=through, rows=before.rows + rows.num_rows)
    return Extent(pieces=pieces, whole=True)


BACKFILL_CHUNK = 16
"""How many consecutive flush numbers one chunk of a backfill covers. Fixed: receipts are numbered by it."""


def backfill_chunks(activation: int) -> int:
    """How many chunks cover a partition's flushes below `activation`."""
    return -(-activation // BACKFILL_CHUNK)


def reject_id(partition: int, number: int, offset: int, place: int, meter: str, origin: str = "") -> str:
    """The id of the reject at this place. The origin of a backfill's reject is hashed into it to be unique."""
    suffix = f"-{body_digest(origin.encode()):016x}" if origin else ""
    return f"rej_{partition}_{number}_{offset}_{place}_{meter}{suffix}"


def reject_place(reject: str) -> tuple[int, int, int, int] | None:
    """Partition, flush, frame and place in the frame of the reject with this id; None for a malformed id."""
    head, *numbers = reject.split("_", 5)[:5]
    if head != "rej" or len(numbers) != 4 or not all(text.isascii() and text.isdigit() for text in numbers):
        return None
    p, n, offset, place = (int(text[:20]) for text in numbers)
    return (p, n, offset, place) if p < 2**16 and max(n, offset) < 2**64 and place < 2**32 else None


def replay_key(reject: str) -> str:
    """The idempotency key of a reject's replay, which lets it count at most once. No event's key can equal it."""
    return f"\x00replay\x00{reject}"
