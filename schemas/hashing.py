"""The two hashes of an event, fixed for the life of a log: which key, and which body.

A key hash names an idempotency key within its account in 128 bits; its low half also picks the partition,
so that every retry of an event meets its earlier self there.
"""

import numpy as np
import numpy.typing as npt
import xxhash

HASH_NAME = "xxh3-1"
"""Stored with the data at first start. Another name over old data would let every old key count twice."""

key_digest = xxhash.xxh3_128_digest
body_digest = xxhash.xxh3_64_intdigest
value_digest = xxhash.xxh3_128_digest
"""Of a value that a `unique` meter tells apart: what `uniques` in the usage rows holds."""

KEY_BYTES = 16

KeyHashes = npt.NDArray[np.uint64]
"""Shape (events, 2): high and low half of each key hash, big-endian order as in the digest."""

BodyHashes = npt.NDArray[np.uint64]


def key_hash(account: str, idempotency_key: str) -> bytes:
    """The 16 bytes that stand for one key of one account."""
    return key_digest(account.encode() + b"\0" + idempotency_key.encode())


def as_halves(digests: bytes) -> KeyHashes:
    """Joined 16-byte digests as rows of (high, low)."""
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def as_digests(halves: KeyHashes) -> list[bytes]:
    """The digests again, one by one."""
    digests: list[bytes] = np.frombuffer(halves.astype(">u8").tobytes(), f"V{KEY_BYTES}").tolist()
    return digests


def partition_of(halves: KeyHashes, partitions: int) -> npt.NDArray[np.uint64]:
    """Which partition each key belongs to."""
    return halves[:, 1] % np.uint64(partitions)
