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


def partition_of(halves: KeyHashes, partitions: int) -> npt.NDArray[np.uint64]:
    """The partition of each key."""
    return halves[:, 1] % np.uint64(partitions)


def first_occurrences(keys: KeyHashes) -> Indices:
    """For each key the index of the first one that equals it."""
    firsts = np.arange(len(keys))
    rows = _possible_repeats(np.ascontiguousarray(keys[:, 1]))
    if len(rows):
        high, low = keys[rows, 0], keys[rows, 1]
        among = _first_equal(low)
        if (high != high[among]).any():
            # Different keys share a low half: number the whole keys, and compare these numbers.
            among = _first_equal(np.unique(keys[rows], axis=0, return_inverse=True)[1].reshape(-1))
        firsts[rows] = rows[among]
    return firsts


def _possible_repeats(low: npt.NDArray[np.uint64]) -> Indices:
    """The rows whose low half occurs twice, and a few others: one sort finds that most batches have none at all."""
    ordered = np.sort(low)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return np.empty(0, np.intp)
    # A table by the leading bits finds the rows in one pass. The last bits would not do: a partition's keys share them.
    bits = len(low).bit_length() + 3
    is_repeated = np.zeros(1 << bits, np.bool_)
    is_repeated[repeated >> np.uint64(64 - bits)] = True
    return np.flatnonzero(is_repeated[low >> np.uint64(64 - bits)])


def _first_equal(values: npt.NDArray[np.uint64] | Indices) -> Indices:
    """For each value the index of the first one that equals it, by sorting; at least one value."""
    order = np.argsort(values)
    ordered = values[order]
    begins = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    # The sort is not stable: of a run of equal values the first is the one with the lowest index.
    first_of_run = np.minimum.reduceat(order, np.flatnonzero(begins))
    firsts = np.empty(len(values), np.intp)
    firsts[order] = first_of_run[np.cumsum(begins) - 1]
    return firsts
