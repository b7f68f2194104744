"""A Bloom filter of key hashes: no false noes, few false ayes, and whole batches at a time.

Split into blocks of one cache line, so that a key costs one memory access: its block is eight 64-bit words, and it
sets one bit in each. At capacity (16 bits a key) about 9 strange keys in 10,000 look known, at half of it 1 in
100,000; each of these costs a look-up in the store, never an event.
"""

import numpy as np
import numpy.typing as npt

from schemas.arrays import Indices, Mask
from schemas.hashing import KeyHashes

_KEYS_PER_BLOCK = 32
_WORDS = 8
_STRIDE = 4096
"""Batches are cut so that a slice's blocks and bits stay in the processor's cache."""

_HIGH_HALF = np.uint64(32)
_ONE = np.uint64(1)
_SIX_BITS = np.uint64(63)
# The low 16 bits are left out: a partition's keys share the lowest ones.
_SHIFTS = np.arange(16, 16 + 6 * _WORDS, 6, dtype=np.uint64)
_EVERY_WORD_MATCHES = np.frombuffer(b"\1" * _WORDS, dtype=np.uint64)[0]

Bits = npt.NDArray[np.uint64]


class BloomFilter:
    """Fixed in size: before it is full, a larger one is filled to take its place.

    One thread may add while others ask. An answer then may be from just before the addition, as if asked earlier.
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
        """How many keys were added; one added twice counts twice."""
        return self._count

    @property
    def is_nearly_full(self) -> bool:
        """Three quarters: time enough to fill a larger one."""
        return 4 * self._count > 3 * self.capacity

    def add(self, hashes: KeyHashes) -> None:
        """Adding beyond the capacity is safe, but makes more and more strange keys look known."""
        for start in range(0, len(hashes), _STRIDE):
            self._add(*self._locate(hashes[start : start + _STRIDE]))
        self._count += len(hashes)

    def may_contain(self, hashes: KeyHashes) -> Mask:
        """For each key: False means it was certainly never added."""
        found = np.empty(len(hashes), dtype=np.bool_)
        for start in range(0, len(hashes), _STRIDE):
            places, bits = self._locate(hashes[start : start + _STRIDE])
            found[start : start + _STRIDE] = self._holds(places, bits)
        return found

    def _locate(self, hashes: KeyHashes) -> tuple[Indices, Bits]:
        """The block of each key by its high half, and its bit of each word by its low half."""
        places = ((hashes[:, 0] >> _HIGH_HALF) * np.uint64(len(self._blocks))) >> _HIGH_HALF
        return places.astype(np.intp), _ONE << ((hashes[:, 1, None] >> _SHIFTS) & _SIX_BITS)

    def _holds(self, places: Indices, bits: Bits) -> Mask:
        present = self._blocks.take(places, axis=0)
        present &= bits
        matches: Mask = (present == bits).view(np.uint64)[:, 0] == _EVERY_WORD_MATCHES
        return matches

    def _add(self, places: Indices, bits: Bits) -> None:
        # Of keys that share a block in one assignment the last one wins; the others try again.
        while len(places):
            self._blocks[places] = self._blocks.take(places, axis=0) | bits
            lost = ~self._holds(places, bits)
            places, bits = places[lost], bits[lost]
