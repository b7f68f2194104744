"""A Bloom filter of key hashes, for whole batches at a time: no false negatives, few false positives.

The filter is split into blocks of one cache line, eight 64-bit words, and a key sets one bit in each word of two
blocks. A new key nearly always fails in its first block, so it costs one memory access. One block alone, with as many
bits a key, would have a hundred times as many false positives. Their rate is about 1 in 100,000 at capacity (25 bits
a key) and 1 in 5 million at three quarters of it; each costs a look-up in the store, never an event.
"""

import numpy as np
import numpy.typing as npt

from schemas.arrays import Indices, Mask
from schemas.hashing import Halves, KeyHashes

_KEYS_PER_BLOCK = 20
_WORDS = 8
_STRIDE = 4096
"""Batches are cut so that the blocks and bits of a slice stay in the CPU cache."""

_HIGH_HALF = np.uint64(32)
_LOW_HALF = np.uint64(2**32 - 1)
_ONE = np.uint64(1)
_SIX_BITS = np.uint64(63)
# The low 16 bits are left out: the keys of a partition share the lowest ones.
_SHIFTS = np.arange(16, 16 + 6 * _WORDS, 6, dtype=np.uint64)
_EVERY_WORD_MATCHES = np.frombuffer(b"\1" * _WORDS, dtype=np.uint64)[0]

Bits = npt.NDArray[np.uint64]


class BloomFilter:
    """A filter of fixed size; `GrowingFilter` replaces it by a larger one before it is full.

    One thread may add while others query. A query during an addition may miss the keys being added.
    """

    def __init__(self, blocks: Bits) -> None:
        self._blocks = blocks
        self._count = 0

    @classmethod
    def sized_for(cls, expected: int) -> "BloomFilter":
        """A filter with room for at least `expected` keys."""
        return cls(np.zeros((max(1, -(-expected // _KEYS_PER_BLOCK)), _WORDS), dtype=np.uint64))

    @classmethod
    def with_room_for(cls, expected: int) -> "BloomFilter":
        """A filter that `expected` keys do not make nearly full."""
        return cls.sized_for(-(-4 * expected // 3))

    @property
    def capacity(self) -> int:
        return len(self._blocks) * _KEYS_PER_BLOCK

    @property
    def count(self) -> int:
        """How many keys were added; a key added twice counts twice."""
        return self._count

    @property
    def is_nearly_full(self) -> bool:
        """True above three quarters of the capacity, early enough to fill a larger filter."""
        return 4 * self._count > 3 * self.capacity

    def add(self, hashes: KeyHashes) -> None:
        """Adds the keys. Beyond the capacity this is safe, but false positives increase."""
        for start in range(0, len(hashes), _STRIDE):
            batch = hashes[start : start + _STRIDE]
            bits = _bits(batch)
            self._add(self._first_blocks(batch), bits)
            self._add(self._second_blocks(batch), bits)
        self._count += len(hashes)

    def may_contain(self, hashes: KeyHashes) -> Mask:
        """For each key False if it was never added, True if it was or in a false positive."""
        found = np.zeros(len(hashes), dtype=np.bool_)
        for start in range(0, len(hashes), _STRIDE):
            batch = hashes[start : start + _STRIDE]
            bits = _bits(batch)
            rows = np.flatnonzero(self._holds(self._first_blocks(batch), bits))
            if len(rows):
                found[start + rows] = self._holds(self._second_blocks(batch[rows]), bits[rows])
        return found

    def _first_blocks(self, hashes: KeyHashes) -> Indices:
        return self._blocks_at(hashes[:, 0] >> _HIGH_HALF)

    def _second_blocks(self, hashes: KeyHashes) -> Indices:
        return self._blocks_at(hashes[:, 0] & _LOW_HALF)

    def _blocks_at(self, fractions: Halves) -> Indices:
        """Scales 32-bit fractions to the number of blocks."""
        return ((fractions * np.uint64(len(self._blocks))) >> _HIGH_HALF).astype(np.intp)

    def _holds(self, places: Indices, bits: Bits) -> Mask:
        present = self._blocks.take(places, axis=0)
        present &= bits
        matches: Mask = (present == bits).view(np.uint64)[:, 0] == _EVERY_WORD_MATCHES
        return matches

    def _add(self, places: Indices, bits: Bits) -> None:
        # Of the keys that share a block the assignment keeps the last one; the loop repeats for the others.
        while len(places):
            self._blocks[places] = self._blocks.take(places, axis=0) | bits
            lost = ~self._holds(places, bits)
            places, bits = places[lost], bits[lost]


def _bits(hashes: KeyHashes) -> Bits:
    """The bit of each key in each word, by its low half."""
    bits: Bits = _ONE << ((hashes[:, 1, None] >> _SHIFTS) & _SIX_BITS)
    return bits
