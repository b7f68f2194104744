"""Deduplication: in order of arrival the first event of a key wins, for the window."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrays import Indices, Mask
from schemas.event import EventFlag
from schemas.flush import SeenRows
from schemas.hashing import KEY_BYTES, BodyHashes, KeyHashes, as_halves, first_occurrences

Arrivals = npt.NDArray[np.int64]


class SeenKeyQuery(msgspec.Struct, frozen=True):
    """The distinct key hashes to look up before the events of a flush can be classified."""

    seen: list[bytes]
    """Keys that the filter may contain."""
    events: list[bytes]
    """Keys of events posted under the backfill scope, which are looked up without a limit of age."""


class KeyLookupResult(msgspec.Struct, frozen=True):
    """The rows found, all of flushes with a lower number."""

    seen: SeenRows
    events: SeenRows


class Classification(msgspec.Struct, frozen=True):
    """For each event exactly one of the three masks is true."""

    first: Mask
    duplicate: Mask
    conflict: Mask


class KeyColumns(msgspec.Struct, frozen=True):
    """The columns that decide which event owns a key."""

    key_hash: pa.Array
    body: BodyHashes
    arrival: Arrivals
    is_backfill: Mask

    @classmethod
    def of(cls, events: pa.Table) -> "KeyColumns":
        return cls(
            key_hash=_single(events["key_hash"]),
            body=events["body_hash"].to_numpy(),
            arrival=events["arrival"].cast(pa.int64()).to_numpy(),
            is_backfill=(events["flags"].to_numpy() & EventFlag.BACKFILL) != 0,
        )


def halves_of(key_hash: pa.ChunkedArray) -> KeyHashes:
    """A column of key hashes as rows of (high, low)."""
    column = _single(key_hash)
    start = column.offset * KEY_BYTES
    return as_halves(column.buffers()[1][start : start + len(column) * KEY_BYTES])


def keys_to_look_up(events: pa.Table, may_contain: Callable[[KeyHashes], Mask]) -> SeenKeyQuery:
    if not events.num_rows:
        return SeenKeyQuery([], [])
    key_columns = KeyColumns.of(events)
    return SeenKeyQuery(
        seen=_distinct(key_columns.key_hash, may_contain(halves_of(events["key_hash"]))),
        events=_distinct(key_columns.key_hash, key_columns.is_backfill),
    )


def classify(events: pa.Table, known: KeyLookupResult, window: int) -> Classification:
    """Every event as the first of its key, a duplicate (same body) or a conflict (another body)."""
    key_columns = KeyColumns.of(events)
    is_known, known_body = _match_known(key_columns, known, window)
    first_of = first_occurrences(halves_of(events["key_hash"]))
    age = key_columns.arrival - key_columns.arrival[first_of]
    if np.any((is_known != is_known[first_of]) | (age > window)):
        # The window ends between two events of one key: rare, so a slow loop in plain Python will do.
        return classify_one_by_one(key_columns, known, window)
    winner_body = np.where(is_known, known_body, key_columns.body[first_of])
    return _classified((first_of == np.arange(len(first_of))) & ~is_known, key_columns.body == winner_body)


def classify_one_by_one(key_columns: KeyColumns, known: KeyLookupResult, window: int) -> Classification:
    """The definition, event by event. `classify` computes the same for whole flushes if no window ends inside one."""
    recent = dict(
        zip(known.seen.key_hashes, zip(known.seen.arrivals, known.seen.body_hashes, strict=True), strict=True)
    )
    ever = dict(zip(known.events.key_hashes, known.events.body_hashes, strict=True))
    taken: set[bytes] = set()
    first, same = (np.zeros(len(key_columns.body), dtype=np.bool_) for _ in range(2))
    columns = (
        key_columns.key_hash.to_pylist(),
        key_columns.body.tolist(),
        key_columns.arrival.tolist(),
        key_columns.is_backfill,
    )
    for index, (key, body, arrival, is_backfill) in enumerate(zip(*columns, strict=True)):
        owner_arrival, owner_body = recent.get(key, (0, None))
        if owner_body is not None and (arrival - owner_arrival <= window or (is_backfill and key in taken)):
            same[index] = body == owner_body
        elif is_backfill and key in ever and key not in taken:
            same[index] = body == ever[key]
        else:
            first[index] = True
            recent[key] = (arrival, body)
            taken.add(key)
    return _classified(first, same)


def _classified(first: Mask, same_body: Mask) -> Classification:
    return Classification(first=first, duplicate=~first & same_body, conflict=~first & ~same_body)


def _match_known(key_columns: KeyColumns, known: KeyLookupResult, window: int) -> tuple[Mask, BodyHashes]:
    """The events whose key an earlier flush has stored, and the body hashes it stored."""
    is_known = np.zeros(len(key_columns.body), dtype=np.bool_)
    known_body = np.zeros(len(key_columns.body), dtype=np.uint64)
    for rows, limit, among in (
        # Seen keys last: of a key that is in both, the row in `events` may be older.
        (known.events, None, key_columns.is_backfill),
        (known.seen, window, None),
    ):
        if rows.key_hashes:
            found = _matches(key_columns.key_hash, rows.key_hashes)
            hit = found >= 0 if among is None else (found >= 0) & among
            if limit is not None:
                hit &= key_columns.arrival - np.array(rows.arrivals, dtype=np.int64)[found] <= limit
            is_known |= hit
            known_body[hit] = np.array(rows.body_hashes, dtype=np.uint64)[found[hit]]
    return is_known, known_body


def _matches(key_hash: pa.Array, keys: Sequence[bytes]) -> Indices:
    """For each event the index of its key in `keys`, or -1."""
    found = pc.index_in(key_hash, value_set=pa.array(keys, pa.binary(KEY_BYTES)))
    indices: Indices = found.fill_null(-1).to_numpy().astype(np.intp)
    return indices


def _distinct(key_hash: pa.Array, mask: Mask) -> list[bytes]:
    keys: list[bytes] = key_hash.filter(pa.array(mask)).unique().to_pylist() if mask.any() else []
    return keys


def _single(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; a copy only if it has several chunks."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
