"""The filter grows between flushes: it never misses a key, and no flush adds more than one chunk to it."""

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import StoreFailed
from schemas.flush import SeenRows
from schemas.hashing import KeyHashes
from stream_processors.core.bloom import BloomFilter
from stream_processors.flushing.growing_filter import GrowingFilter, filled_filter

pytestmark = pytest.mark.anyio

PIECE = 64


class PagedSeenKeys:
    """The keys of consecutive flushes. It fails on demand, and counts the chunks it returned."""

    def __init__(self) -> None:
        self.flushes: list[KeyHashes] = []
        self.pieces = 0
        self.failing = False

    async def count(self, partition: int, below: int) -> int:
        self._check()
        return len(self._below(below))

    async def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        keys = self._below(below)
        for start in range(0, len(keys), PIECE):
            self._check()
            self.pieces += 1
            yield keys[start : start + PIECE]

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        raise NotImplementedError

    find_events = find

    def _below(self, below: int) -> KeyHashes:
        return np.concatenate([np.empty((0, 2), np.uint64), *self.flushes[:below]])

    def _check(self) -> None:
        if self.failing:
            raise StoreFailed("no answer")


def keys_of(number: int, many: int) -> KeyHashes:
    return np.random.default_rng(number).integers(0, 2**64, (many, 2), dtype=np.uint64)


@given(flushes=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60), before=st.integers(0, 5))
async def test_no_key_is_ever_missed(flushes: list[tuple[int, bool]], before: int) -> None:
    """For any keys, at any failure of the store, at any stage of the growth."""
    seen = PagedSeenKeys()
    seen.flushes = [keys_of(number, 20) for number in range(before)]
    growing = GrowingFilter(await filled_filter(seen, 0, before, 1), seen, 0, 1)
    for number, (many, fails) in enumerate(flushes, start=before):
        pieces, seen.failing = seen.pieces, fails
        seen.flushes.append(keys_of(number, many))
        await growing.add(seen.flushes[-1], number + 1)
        assert seen.pieces <= pieces + 1
        assert growing.keys.may_contain(np.concatenate(seen.flushes)).all()


async def test_it_grows_before_it_is_full() -> None:
    """A steady stream of keys never fills it up, and no filter is filled without need."""
    seen = PagedSeenKeys()
    growing = GrowingFilter(BloomFilter.sized_for(1000), seen, 0, 1)
    for number in range(1000):
        seen.flushes.append(keys_of(number, 8))
        await growing.add(seen.flushes[-1], number + 1)
        assert growing.keys.count < growing.keys.capacity
    assert 8_000 < growing.keys.capacity < 40_000
