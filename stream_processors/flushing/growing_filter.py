"""A partition's Bloom filter, which is replaced by a larger one before it is full.

The larger filter is filled one chunk of keys after each flush. With millions of keys, filling it at once would block
the partition for seconds.
"""

from collections.abc import AsyncIterator

from schemas.errors import StoreFailed
from schemas.hashing import KeyHashes
from stream_processors.core.bloom import BloomFilter
from stream_processors.ports import SeenKeys


async def sized_filter(seen: SeenKeys, partition: int, below: int, room: int) -> BloomFilter:
    """An empty filter with room for the keys of the flushes before `below` and as many more, or `room` more if that is
    larger."""
    known = await seen.count(partition, below)
    return BloomFilter.sized_for(known + max(known, room))


async def filled_filter(seen: SeenKeys, partition: int, below: int, room: int) -> BloomFilter:
    """A filter that holds at least all keys of the flushes before `below`."""
    keys = await sized_filter(seen, partition, below, room)
    async for piece in seen.all_hashes(partition, below):
        keys.add(piece)
    return keys


class GrowingFilter:
    """`keys` always holds the keys of every flush done so far, also while a larger filter is being filled."""

    def __init__(self, keys: BloomFilter, seen: SeenKeys, partition: int, room: int) -> None:
        self.keys = keys
        self._seen = seen
        self._partition = partition
        self._room = room
        self._larger: BloomFilter | None = None
        self._missing: AsyncIterator[KeyHashes] | None = None

    async def add(self, hashes: KeyHashes, below: int) -> None:
        """Adds the keys of the flush before `below`, which must be done, and one chunk to the larger filter."""
        self.keys.add(hashes)
        if self._larger is not None:
            self._larger.add(hashes)
        try:
            await self._grow(below)
        except StoreFailed:
            # A fuller filter only costs more look-ups, and the next flush retries.
            self._larger = self._missing = None

    async def _grow(self, below: int) -> None:
        if self._larger is None or self._missing is None:
            if not self.keys.is_nearly_full:
                return
            self._larger = await sized_filter(self._seen, self._partition, below, self._room)
            self._missing = self._seen.all_hashes(self._partition, below)
        piece = await anext(self._missing, None)
        if piece is not None:
            self._larger.add(piece)
        else:
            self.keys, self._larger, self._missing = self._larger, None, None
