"""From the frames of a claim to the rows of every table: a pure function of frames, seen keys and meters, in pieces."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from schemas.arrays import Mask
from schemas.event import EventFlag
from schemas.flush import Claim, Extent, FlushRows, Table
from schemas.frame import COLUMNS, Frame, decode, raw_size
from schemas.hashing import KeyHashes
from schemas.meter import MeterSet
from schemas.tables import CONFLICTS, EVENTS, REJECTS, SEEN, flush_receipt, meter_place, piece_receipt, place_of
from schemas.timestamps import month_of
from stream_processors.core.dedupe import KeyLookupResult, classify, halves_of
from stream_processors.core.measure import Measurement, MeterKey
from stream_processors.core.rejects import conflict_rows, counts_by_code, stacked_rejects, with_piece
from stream_processors.core.usage_rows import stacked, with_receipt

PLACED = pa.schema([*COLUMNS, ("offset", pa.uint64()), ("place", pa.uint32()), ("arrival", pa.int64())])
"""The columns of a frame, and for each event its offset, its place and the arrival of its frame."""


def assemble(frames: Sequence[Frame]) -> pa.Table:
    """All events of the frames: one chunk per column, in the order of the frames and of the events within them."""
    batches = [decode(frame.payload) for frame in frames]
    sizes = [batch.num_rows for batch in batches]
    events = pa.Table.from_batches(batches, COLUMNS).combine_chunks()
    return pa.table(
        [
            *events.columns,
            np.repeat(np.array([frame.offset for frame in frames], dtype=np.uint64), sizes),
            _places(sizes),
            np.repeat(np.array([frame.arrival for frame in frames], dtype=np.int64), sizes),
        ],
        schema=PLACED,
    )


def _places(sizes: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """0, 1, 2 … from the start of each frame."""
    starts = np.cumsum([0, *sizes[:-1]]) if sizes else np.empty(0, dtype=np.int64)
    return (np.arange(sum(sizes)) - np.repeat(starts, sizes)).astype(np.uint32)


_STORED = pa.schema([*EVENTS, ("replay_of", pa.string()), ("replay_meter", pa.string())])
"""Events as they are stored, and the two columns of replays."""


class FlushCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a flush, in numbers of events."""

    events: int
    accepted: int
    duplicates: int
    conflicts: int
    rejects: dict[str, int]
    """Rows in `rejects` by code, conflicts included."""


class PieceBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one insert. A piece holds the rows of one meter at least, and these are bounded by the flush."""

    rows: int = 100_000
    size: int = 24_000_000
    """Bytes in memory. The store needs several times as much for the insert."""


class FlushPlan:
    """The rows of every table for the claimed frames, made piece by piece.

    A function of its arguments: a redo or a rival makes the very same rows. Only where the pieces of `usage` and
    `rejects` end depends on the bounds; a piece continues where the table says that the last one ended.
    """

    def __init__(self, claim: Claim, measurement: Measurement, judged: "JudgedEvents", bounds: PieceBounds) -> None:
        self._claim = claim
        self._measurement = measurement
        self._judged = judged
        self._bounds = bounds
        self._usage = MeterPieces(measurement.keys, self._usage_of, bounds)
        self._rejects = MeterPieces([CONFLICTS, *measurement.keys], self._rejects_of, bounds)
        self._without_rejects: set[MeterKey] = set()
        self._reject_counts: Counter[str] = Counter()

    @property
    def new_hashes(self) -> KeyHashes:
        """The keys of `seen`, for the filter."""
        return halves_of(self._judged.new["key_hash"])

    @property
    def counts(self) -> FlushCounts:
        """The outcome so far; rejects that an earlier attempt applied are not among them."""
        return FlushCounts(
            events=self._judged.size,
            accepted=self._judged.new.num_rows,
            duplicates=self._judged.duplicates,
            conflicts=len(self._judged.conflicts),
            rejects=dict(self._reject_counts),
        )

    def rows_in(self, extents: Mapping[Table, Extent]) -> FlushRows:
        """How many rows each table has when all pieces are there; `extents` are the last ones that the tables stated.

        Events and keys follow from the claim. Of `usage` and `rejects` the tables know: a piece may be a rival's.
        """
        return FlushRows(
            month=self._judged.month,
            events=int(np.count_nonzero(~_is_replay(self._judged.new))),
            pieces=extents[Table.USAGE].pieces,
            rejects=extents[Table.REJECTS].rows,
            seen=self._judged.new.num_rows,
        )

    def next_piece(self, table: Table, extent: Extent) -> pa.Table | None:
        """The rows, exactly in the layout of the table, that follow those it holds; None if it holds all of them."""
        if extent.whole:
            return None
        match table:
            case Table.EVENTS:
                rows = _events_rows(self._judged.new)
            case Table.USAGE:
                return self._next_usage(extent)
            case Table.REJECTS:
                rows = self._next_rejects(extent)
            case Table.SEEN:
                rows = _seen_rows(self._judged.new)
        return rows if rows.num_rows else None

    def _next_usage(self, extent: Extent) -> pa.Table | None:
        if self._claim.is_barrier:
            return None
        piece = self._usage.after(extent)
        end = "" if piece.is_last else piece_receipt(extent.pieces, meter_place(*piece.end))
        receipt = flush_receipt(self._claim.partition, self._claim.number)
        return with_receipt(stacked(piece.tables), receipt, month=self._judged.month, end=end)

    def _next_rejects(self, extent: Extent) -> pa.Table:
        rows = with_piece(stacked_rejects(self._rejects.after(extent).tables), extent.pieces)
        self._reject_counts.update(counts_by_code(rows))
        return rows

    def _usage_of(self, key: MeterKey) -> pa.Table:
        rows = self._measurement.usage(key)
        if not self._measurement.has_rejects(key):
            self._without_rejects.add(key)
        return rows

    def _rejects_of(self, key: MeterKey) -> pa.Table:
        if key == CONFLICTS:
            return conflict_rows(self._judged.conflicts, month=self._judged.month)
        return REJECTS.empty_table() if key in self._without_rejects else self._measurement.rejects(key)


class MeterPiece(NamedTuple):
    """The tables of consecutive meters."""

    tables: Sequence[pa.Table]
    end: MeterKey
    is_last: bool


class MeterPieces:
    """Cuts the rows of a flush's meters into pieces: whole meters, as many as the bounds allow, at least one."""

    def __init__(self, keys: Sequence[MeterKey], make: Callable[[MeterKey], pa.Table], bounds: PieceBounds) -> None:
        self._keys = keys
        self._make = make
        self._bounds = bounds
        self._spare: tuple[MeterKey, pa.Table] | None = None
        """The table that no longer fitted into the last piece."""

    def after(self, extent: Extent) -> MeterPiece:
        """The next piece, which may be empty. An empty table ends no piece."""
        start = bisect_right(self._keys, place_of(extent.through)) if extent.pieces else 0
        tables: list[pa.Table] = []
        rows = size = 0
        for index in range(start, len(self._keys)):
            if rows and not self._fits(rows + 1, size + 1):
                # Without a look at the next table, which would be a second one in memory that may be as large.
                return MeterPiece(tables, self._keys[index - 1], is_last=False)
            table = self._table(self._keys[index])
            if rows and table.num_rows and not self._fits(rows + table.num_rows, size + table.nbytes):
                self._spare = self._keys[index], table
                return MeterPiece(tables, self._keys[index - 1], is_last=False)
            rows, size = rows + table.num_rows, size + table.nbytes
            tables.append(table)
        return MeterPiece(tables, CONFLICTS, is_last=True)

    def _fits(self, rows: int, size: int) -> bool:
        return rows <= self._bounds.rows and size <= self._bounds.size

    def _table(self, key: MeterKey) -> pa.Table:
        spare, self._spare = self._spare, None
        return spare[1] if spare is not None and spare[0] == key else self._make(key)


class JudgedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a flush, by the fate of their keys."""

    size: int
    new: pa.Table
    """The events whose key is theirs, as they are stored."""
    conflicts: pa.Table
    duplicates: int
    month: int


def plan_flush(
    claim: Claim,
    events: pa.Table,
    known: KeyLookupResult,
    meters: MeterSet,
    window: int,
    bounds: PieceBounds | None = None,
) -> FlushPlan:
    """Plans the flush of the claimed frames."""
    classification = classify(events, known, window)
    month = month_of(events["arrival"][0].as_py() if events.num_rows else 0)
    stored = in_store_layout(events, claim, month)
    new = _where(stored, classification.first & _has_meter(stored, meters))
    judged = JudgedEvents(
        size=events.num_rows,
        new=new,
        conflicts=stored.take(pa.array(np.flatnonzero(classification.conflict))),
        duplicates=int(classification.duplicate.sum()),
        month=month,
    )
    return FlushPlan(claim, Measurement(new, meters.meters, month=month), judged, bounds or PieceBounds())


def in_store_layout(events: pa.Table, claim: Claim, month: int) -> pa.Table:
    size = events.num_rows
    constant: dict[str, Any] = {"p": claim.partition, "n": claim.number, "month": month}
    columns = [
        pa.repeat(pa.scalar(constant[field.name], field.type), size)
        if field.name in constant
        else events[field.name].cast(field.type)
        for field in _STORED
    ]
    return pa.table(columns, schema=_STORED)


def _has_meter(stored: pa.Table, meters: MeterSet) -> Mask:
    """False for replays whose meter has been archived since: their key must not be stored, so that they stay open."""
    is_replay = _is_replay(stored)
    chosen = ~is_replay
    if is_replay.any():
        counting = {(meter.account, meter.code) for meter in meters.meters}
        for row in np.flatnonzero(is_replay).tolist():
            chosen[row] = (stored["account"][row].as_py(), stored["replay_meter"][row].as_py()) in counting
    return chosen


def _is_replay(events: pa.Table) -> Mask:
    mask: Mask = (events["flags"].to_numpy() & EventFlag.REPLAY) != 0
    return mask


def _events_rows(new: pa.Table) -> pa.Table:
    """The new events without the replays, whose events are stored already."""
    return _where(new, ~_is_replay(new)).select(EVENTS.names)


def _seen_rows(new: pa.Table) -> pa.Table:
    return pa.table([new[field.name].cast(field.type) for field in SEEN], schema=SEEN).combine_chunks()


def _where(events: pa.Table, mask: Mask) -> pa.Table:
    return events if mask.all() else events.take(pa.array(np.flatnonzero(mask))).combine_chunks()


def frames_for_one_flush(waiting: Sequence[Frame], max_raw_bytes: int) -> Sequence[Frame]:
    """The leading frames that arrived in one month and are not too large together; at least one if any waits.

    All rows of a flush carry one month, and expire by it.
    """
    month = month_of(waiting[0].arrival) if waiting else None
    taken: list[Frame] = []
    size = 0
    for frame in waiting:
        size += raw_size(frame.payload)
        if month_of(frame.arrival) != month or (taken and size > max_raw_bytes):
            break
        taken.append(frame)
    return taken
