"""Grouping of rows with equal keys, and the functions that aggregate usage and merge aggregates."""

from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrays import Indices
from schemas.tables import HASH, LATEST

Codes = npt.NDArray[np.int64]

_PACKED_LIMIT = 2**62


class Groups(msgspec.Struct, frozen=True):
    """The groups of some rows, numbered in the order of their keys."""

    codes: Codes
    """For each row the number of its group."""
    examples: Indices
    """For each group its first row."""

    def __len__(self) -> int:
        return len(self.examples)


def rank(column: pa.Array) -> Codes:
    """Numbers that compare as the values of the column do; null first."""
    encoded = column.dictionary_encode(null_encoding="encode")
    order = pc.array_sort_indices(encoded.dictionary, null_placement="at_start").to_numpy()
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    codes: Codes = ranks[encoded.indices.to_numpy()]
    return codes


def group_rows(*keys: Codes) -> Groups:
    """Groups of the rows with equal keys. Keys are numbers from 0 on."""
    packed = keys[0].astype(np.int64)
    for key in keys[1:]:
        packed = _pack(packed, key)
    encoded = pa.array(packed).dictionary_encode()
    order = np.argsort(encoded.dictionary.to_numpy())
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.arange(len(order))
    codes = numbers[encoded.indices.to_numpy()]
    # An assignment keeps the last value for a repeated index: in reverse order, that is the first row.
    examples = np.empty(len(order), dtype=np.intp)
    examples[codes[::-1]] = np.arange(len(codes))[::-1]
    return Groups(codes, examples)


def _pack(high: Codes, low: Codes) -> Codes:
    """Two keys as one number that compares as the pair does."""
    if not len(low):
        return high
    width = int(low.max()) + 1
    if int(high.max()) >= _PACKED_LIMIT // width:
        high = np.unique(high, return_inverse=True)[1]
    packed: Codes = high * width + low
    return packed


def count(groups: Groups) -> pa.Array:
    """How many rows each group has."""
    return pa.array(np.bincount(groups.codes, minlength=len(groups)).astype(np.uint64))


def reduce(groups: Groups, values: pa.Array, function: Literal["sum", "min", "max"]) -> pa.Array:
    """One value per group, of the same type; nulls are ignored, and a group of nulls gives null."""
    rows = pa.table({"group": groups.codes, "value": values})
    reduced = rows.group_by("group", use_threads=False).aggregate([("value", function)])
    in_order = pa.array(np.argsort(reduced["group"].to_numpy()))
    return reduced[f"value_{function}"].combine_chunks().take(in_order).cast(values.type)


def latest(groups: Groups, candidates: pa.StructArray) -> pa.Array:
    """The largest candidate of each group; fields compare from left to right."""
    fields = [field.name for field in LATEST][:-1]
    columns: list[npt.NDArray[Any]] = [pc.struct_field(candidates, name).to_numpy() for name in fields]
    order = np.lexsort(tuple(reversed(columns)))
    newest = np.empty(len(groups), dtype=np.intp)
    # An assignment keeps the last value for a repeated index: in ascending order, that is the largest.
    newest[groups.codes[order]] = order
    return candidates.take(pa.array(newest))


def distinct(groups: Groups, members: Codes, digests: pa.Array) -> pa.ListArray:
    """The different digests of each group; `members` holds for each row the index of its digest."""
    pairs = np.sort(groups.codes * len(digests) + members)
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])] if len(pairs) else pairs
    owners, chosen = np.divmod(pairs, max(1, len(digests)))
    ends = np.cumsum(np.bincount(owners, minlength=len(groups)))
    return list_of_hashes(np.concatenate(([0], ends)), digests.take(pa.array(chosen)))


def list_of_hashes(offsets: npt.NDArray[np.int64], hashes: pa.Array) -> pa.ListArray:
    """Lists of hashes: list i is `hashes[offsets[i]:offsets[i + 1]]`."""
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), hashes.cast(HASH), type=pa.list_(HASH))
