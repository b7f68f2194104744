"""From the frames of a claim to the rows of every table: a pure function of frames, seen keys and meters."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from schemas.arrays import Mask
from schemas.event import EventFlag
from schemas.flush import Claim, Table
from schemas.frame import COLUMNS, Frame, decode, raw_size
from schemas.hashing import KeyHashes
from schemas.meter import MeterSet
from schemas.tables import EVENTS, SEEN, flush_receipt
from schemas.timestamps import month_of
from stream_processors.core.dedupe import Classification, KeyLookupResult, classify, halves_of
from stream_processors.core.measure import measure
from stream_processors.core.rejects import conflict, counts_by_code, reject_rows
from stream_processors.core.usage_rows import with_receipt

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


class FlushRows(msgspec.Struct, frozen=True, kw_only=True):
    """One block per table, exactly in the layouts of `schemas.tables`."""

    events: pa.Table
    usage: pa.Table
    rejects: pa.Table
    seen: pa.Table
    new_hashes: KeyHashes
    """The keys of `seen`, for the filter."""
    counts: FlushCounts

    def in_order(self) -> Iterator[tuple[Table, pa.Table]]:
        """The blocks in the order in which they must be written."""
        for table in Table:
            yield table, getattr(self, table.value)


def plan_flush(claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet, window: int) -> FlushRows:
    """The rows of every table for the claimed frames. A pure function: a redo or a rival makes the very same rows."""
    classification = classify(events, known, window)
    month = month_of(events["arrival"][0].as_py() if events.num_rows else 0)
    stored = in_store_layout(events, claim, month)
    new = _where(stored, classification.first & _has_meter(stored, meters))
    measured = measure(new, meters.meters, month=month)
    conflicts = [conflict(row) for row in np.flatnonzero(classification.conflict).tolist()]
    rejects = pa.concat_tables(
        [reject_rows(stored, conflicts, month=month, origin=""), measured.rejects]
    ).combine_chunks()
    receipt = flush_receipt(claim.partition, claim.number)
    return FlushRows(
        events=_events_rows(new),
        usage=measured.usage if claim.is_barrier else with_receipt(measured.usage, receipt, month=month),
        rejects=rejects,
        seen=_seen_rows(new),
        new_hashes=halves_of(new["key_hash"]),
        counts=_counts(classification, new, rejects),
    )


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


def _counts(classification: Classification, new: pa.Table, rejects: pa.Table) -> FlushCounts:
    return FlushCounts(
        events=len(classification.first),
        accepted=new.num_rows,
        duplicates=int(classification.duplicate.sum()),
        conflicts=int(classification.conflict.sum()),
        rejects=counts_by_code(rejects),
    )


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
