"""The gateway's own filters of keys: it asks the worker only about keys that may have been counted."""

import asyncio

import msgspec
import numpy as np

from schemas.flush import FLUSH_NUMBER_BOUND
from schemas.hashing import KeyHashes
from stream_processors.core.bloom import BloomFilter, Mask
from stream_processors.ports import SeenKeys

MIN_CAPACITY = 1_000_000
"""Keys, at the least, in each filter: 2 MB."""


class _AgedFilter(msgspec.Struct):
    """A filter, and when the newest of its keys arrived."""

    keys: BloomFilter
    newest: int = 0


class KeyFilters:
    """New keys go into the last filter. One that is full gets a successor as large as all there are together, and is
    let go of when its keys are out of the window: so none is ever filled anew.

    Until what was counted before the start is read, every key may be known.
    """

    def __init__(self, window: int, min_capacity: int = MIN_CAPACITY) -> None:
        self._window = window
        self._min_capacity = min_capacity
        self._from_store: _AgedFilter | None = None
        self._since_start = [_AgedFilter(BloomFilter.sized_for(min_capacity))]

    @property
    def filters(self) -> int:
        """How many there are."""
        return len(self._since_start) + (self._from_store is not None)

    def may_contain(self, keys: KeyHashes) -> Mask:
        """False means that the key was certainly never made durable within the window."""
        if self._from_store is None:
            return np.ones(len(keys), np.bool_)
        found = self._from_store.keys.may_contain(keys)
        for each in self._since_start:
            found |= each.keys.may_contain(keys)
        return found

    def add(self, keys: KeyHashes, arrival: int) -> None:
        """Keys that are durable now."""
        if self._since_start[-1].keys.is_nearly_full:
            self._rotate(arrival)
        last = self._since_start[-1]
        last.keys.add(keys)
        last.newest = max(last.newest, arrival)

    async def fill(self, seen: SeenKeys, partitions: int, newest: int) -> None:
        """With all that is counted by now, the last of it at `newest`. The second time in place of the first."""
        counts = [await seen.count(partition, FLUSH_NUMBER_BOUND) for partition in range(partitions)]
        # Apart from the others, for it is done in a thread: two that add to one filter undo each other's work.
        before = _AgedFilter(BloomFilter.sized_for(max(sum(counts), 1)), newest)
        for partition in range(partitions):
            async for piece in seen.all_hashes(partition, FLUSH_NUMBER_BOUND):
                await asyncio.to_thread(before.keys.add, piece)
        self._from_store = before

    def _rotate(self, arrival: int) -> None:
        if self._from_store is not None and arrival - self._from_store.newest > self._window:
            self._from_store = _AgedFilter(BloomFilter.sized_for(1), arrival)
        self._since_start = [each for each in self._since_start if arrival - each.newest <= self._window]
        known = sum(each.keys.count for each in self._since_start)
        self._since_start.append(_AgedFilter(BloomFilter.sized_for(max(known, self._min_capacity))))
