"""The two hashes of an event, of its key and of its body, both fixed for the life of a log.

A key hash names an idempotency key within its account in 128 bits. Its low half also picks the partition, so that
every retry of an event meets the first attempt there.
"""

import numpy as np
import numpy.typing as npt
import xxhash

from schemas.arrays import Indices

HASH_NAME = "xxh3-1"
"""Stored with the data at the first start. Another hash over old data would let every old key count twice."""

key_digest = xxhash.xxh3_128_digest
body_digest = xxhash.xxh3_64_intdigest
value_digest = xxhash.xxh3_128_digest
"""The digest of a value that a `unique` meter distinguishes, as `uniques` in the usage rows holds it."""

KEY_BYTES = 16

KeyHashes = npt.NDArray[np.uint64]
"""Shape (events, 2): high and low half of each key hash, big-endian order as in the digest."""

BodyHashes = npt.NDArray[np.uint64]

Halves = npt.NDArray[np.uint64]
"""One half of each key hash."""


def key_hash(account: str, idempotency_key: str) -> bytes:
    """The 16-byte digest of one key of one account."""
    return key_digest(account.encode() + b"\0" + idempotency_key.encode())


def as_halves(digests: bytes) -> KeyHashes:
    """Joined 16-byte digests as rows of (high, low)."""
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def as_digests(halves: KeyHashes) -> list[bytes]:
    """The 16-byte digests of rows of (high, low)."""
    digests: list[bytes] = np.frombuffer(halves.astype(">u8").tobytes(), f"V{KEY_BYTES}").tolist()
    return digests


def chained_digest(previous: int, header: bytes, payload: bytes) -> int:
    """63 bits that depend on every byte of a record and, by `previous`, on all records before it."""
    digest = xxhash.xxh3_64(header, seed=previous)
    digest.update(payload)
    return digest.intdigest() >> 1


def partition_of(halves: KeyHashes, partitions: int) -> npt.NDArray[np.uint64]:
    """The partition of each key."""
    return halves[:, 1] % np.uint64(partitions)


def first_occurrences(keys: KeyHashes) -> Indices:
    """For each key the index of the first one that equals it."""
    firsts = np.arange(len(keys))
    low = keys[:, 1]
    ordered = np.sort(low)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        rows = _possible_rows(repeated, low)
        firsts[rows] = rows[_first_equal_key(keys[rows, 0], low[rows])]
    return firsts


_SMALL_BATCH = 512


def _possible_rows(repeated: Halves, low: Halves) -> Indices:
    """The rows whose low half is among `repeated`, and some others; all rows of a small batch."""
    if len(low) <= _SMALL_BATCH:
        return np.arange(len(low))
    # A table by the leading bits finds the rows in one pass. The last bits would not do: a partition's keys share them.
    bits = len(low).bit_length() + 2
    is_repeated = np.zeros(1 << bits, np.bool_)
    is_repeated[repeated >> np.uint64(64 - bits)] = True
    return np.flatnonzero(is_repeated[low >> np.uint64(64 - bits)])


def _first_equal_key(high: Halves, low: Halves) -> Indices:
    firsts = _first_equal(low)
    if (high != high[firsts]).any():
        # Different keys share a low half: number the whole keys, and compare these numbers.
        _, numbers = np.unique(np.stack([high, low], axis=1), axis=0, return_inverse=True)
        return _first_equal(numbers.reshape(-1))
    return firsts


def _first_equal(values: Halves | Indices) -> Indices:
    """For each value the index of the first one that equals it, by sorting; at least one value."""
    order = np.argsort(values)
    ordered = values[order]
    begins = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    # The sort is not stable: of a run of equal values the first is the one with the lowest index.
    first_of_run = np.minimum.reduceat(order, np.flatnonzero(begins))
    firsts = np.empty(len(values), np.intp)
    firsts[order] = first_of_run[np.cumsum(begins) - 1]
    return firsts
