"""A Bloom filter of key hashes, for whole batches at a time: no false negatives, few false positives.

The filter is split into blocks of one cache line, so that a key costs one memory access: its block is eight 64-bit
words, and the key sets one bit in each. The rate of false positives is about 9 in 10,000 at capacity (16 bits a key)
and 1 in 100,000 at half of it; each costs a look-up in the store, never an event.
"""

import numpy as np
import numpy.typing as npt

from schemas.arrays import Indices, Mask
from schemas.hashing import KeyHashes

_KEYS_PER_BLOCK = 32
_WORDS = 8
_STRIDE = 4096
"""Batches are cut so that the blocks and bits of a slice stay in the CPU cache."""

_HIGH_HALF = np.uint64(32)
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
            self._add(*self._locate(hashes[start : start + _STRIDE]))
        self._count += len(hashes)

    def may_contain(self, hashes: KeyHashes) -> Mask:
        """For each key False if it was never added, True if it was or in a false positive."""
        found = np.empty(len(hashes), dtype=np.bool_)
        for start in range(0, len(hashes), _STRIDE):
            places, bits = self._locate(hashes[start : start + _STRIDE])
            found[start : start + _STRIDE] = self._holds(places, bits)
        return found

    def _locate(self, hashes: KeyHashes) -> tuple[Indices, Bits]:
        """The block of each key, by its high half, and its bit in each word, by its low half."""
        places = ((hashes[:, 0] >> _HIGH_HALF) * np.uint64(len(self._blocks))) >> _HIGH_HALF
        return places.astype(np.intp), _ONE << ((hashes[:, 1, None] >> _SHIFTS) & _SIX_BITS)

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
