"""The gateway's own filters of keys, and the task that loads them: most lookups then need no query of the worker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import numpy as np

from schemas.arrays import Mask
from schemas.errors import StoreFailed
from schemas.flush import FLUSH_NUMBER_BOUND
from schemas.hashing import KeyHashes
from schemas.logger import Logger
from stream_processors.core.bloom import BloomFilter
from stream_processors.ports import SeenKeys

MIN_CAPACITY = 2_000_000
"""Keys in each filter, at least: 6 MB. Few large filters are faster than many small ones: each is asked about each
key."""
_FILL_RETRY_SECONDS = 1.0


class _AgedFilter(msgspec.Struct):
    keys: BloomFilter
    newest: int = 0
    """The arrival of the newest key in it."""


class KeyFilters:
    """Bloom filters that together hold the keys of one window.

    New keys go into the last filter. A full filter gets a successor as large as all filters together, and is dropped
    once its keys are older than the window. So no filter is ever rebuilt. Every key may be known until `fill` has read
    the keys that were counted before the start.
    """

    def __init__(self, window: int, min_capacity: int = MIN_CAPACITY) -> None:
        self._window = window
        self._min_capacity = min_capacity
        self._is_filled = False
        self._from_store: _AgedFilter | None = None
        """None as well if the store has no keys: an empty filter would be asked about each key."""
        self._since_start = [_AgedFilter(BloomFilter.sized_for(min_capacity))]

    def __len__(self) -> int:
        return len(self._filters)

    @property
    def _filters(self) -> Sequence[_AgedFilter]:
        return self._since_start if self._from_store is None else [self._from_store, *self._since_start]

    def may_contain(self, keys: KeyHashes) -> Mask:
        """False means that the key was certainly not made durable within the window."""
        if not self._is_filled:
            return np.ones(len(keys), np.bool_)
        found = np.zeros(len(keys), np.bool_)
        for each in self._filters:
            found |= each.keys.may_contain(keys)
        return found

    def add(self, keys: KeyHashes, arrival: int) -> None:
        """Adds keys that have just become durable."""
        if self._since_start[-1].keys.is_nearly_full:
            self._rotate(arrival)
        last = self._since_start[-1]
        last.keys.add(keys)
        last.newest = max(last.newest, arrival)

    async def fill(self, seen: SeenKeys, partitions: int, newest: int) -> None:
        """Reads all keys counted by now, the last of them at `newest`. A second call replaces what the first one read.

        Raises StoreFailed if the usage store does not answer.
        """
        counts = [await seen.count(partition, FLUSH_NUMBER_BOUND) for partition in range(partitions)]
        # In a filter of its own, because a thread fills it: two threads that add to one filter undo each other's work.
        before = _AgedFilter(BloomFilter.with_room_for(sum(counts)), newest)
        for partition in range(partitions):
            async for piece in seen.all_hashes(partition, FLUSH_NUMBER_BOUND):
                await asyncio.to_thread(before.keys.add, piece)
        self._from_store = before if before.keys.count else None
        self._is_filled = True

    def _rotate(self, arrival: int) -> None:
        if self._from_store is not None and arrival - self._from_store.newest > self._window:
            self._from_store = None
        self._since_start = [each for each in self._since_start if arrival - each.newest <= self._window]
        known = sum(each.keys.count for each in self._since_start)
        self._since_start.append(_AgedFilter(BloomFilter.sized_for(max(known, self._min_capacity))))


@asynccontextmanager
async def fill_in_background(
    filters: KeyFilters,
    seen: SeenKeys,
    partitions: int,
    newest: int,
    wait_caught_up: Callable[[], Awaitable[None]],
    logger: Logger,
) -> AsyncIterator[None]:
    """Loads the counted keys into the filters while it is open, so that the start does not wait for them."""

    async def fill() -> None:
        # Keys of frames that were not counted at the start are among the recent keys until they are counted. The second
        # pass reads them too.
        await _retry_fill(lambda: filters.fill(seen, partitions, newest), logger)
        await wait_caught_up()
        await _retry_fill(lambda: filters.fill(seen, partitions, newest), logger)

    filling = asyncio.create_task(fill())
    try:
        yield
    finally:
        filling.cancel()
        await asyncio.wait([filling])


async def _retry_fill(fill: Callable[[], Awaitable[None]], logger: Logger) -> None:
    while True:
        try:
            return await fill()
        except StoreFailed as error:
            logger.warning("counted keys could not be read, retrying", reason=str(error))
            await asyncio.sleep(_FILL_RETRY_SECONDS)
