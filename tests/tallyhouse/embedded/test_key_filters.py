"""The gateway's filters never deny a known key."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.ingest.duplicate_lookup import FilteredKeyHints
from schemas.errors import StoreFailed
from schemas.flush import SeenRows
from schemas.hashing import KeyHashes, as_halves, key_hash
from schemas.logger import NullLogger
from schemas.metrics import NullMetrics
from tallyhouse.embedded.key_filters import KeyFilters, fill_in_background

WINDOW = 100
CAPACITY = 64


def keys_of(names: Iterable[object]) -> KeyHashes:
    return as_halves(b"".join(key_hash("acct", str(name)) for name in names))


class FakeSeenKeys:
    """The counted keys of each partition, read in pieces. The first `failures` calls fail."""

    def __init__(self, *partitions: KeyHashes, failures: int = 0, piece: int = 3) -> None:
        self.partitions = list(partitions)
        self.failures = failures
        self._piece = piece

    async def count(self, partition: int, below: int) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreFailed("no answer")
        return len(self.partitions[partition])

    async def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        keys = self.partitions[partition]
        for start in range(0, len(keys), self._piece):
            yield keys[start : start + self._piece]

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        raise NotImplementedError

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        raise NotImplementedError


def filled(window: int = WINDOW, min_capacity: int = CAPACITY) -> KeyFilters:
    filters = KeyFilters(window, min_capacity)
    asyncio.run(filters.fill(FakeSeenKeys(keys_of([])), 1, newest=0))
    return filters


def test_before_they_are_filled_everything_may_be_known() -> None:
    """A retry just after a start is answered `duplicate`."""
    filters = KeyFilters(WINDOW, CAPACITY)
    assert filters.may_contain(keys_of("abc")).all()
    counted = keys_of(range(10))
    asyncio.run(filters.fill(FakeSeenKeys(counted[:4], counted[4:]), 2, newest=0))
    assert filters.may_contain(counted).all()
    assert not filters.may_contain(keys_of("abc")).any()


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 60)), max_size=12))
def test_a_key_of_the_window_is_never_denied(batches: list[tuple[int, int]]) -> None:
    """Whatever the number of keys and filters."""
    filters, now, added = filled(), 0, 0
    posted: list[tuple[int, KeyHashes]] = []
    for size, later in batches:
        now += later
        posted.append((now, keys_of(range(added, added + size))))
        added += size
        filters.add(posted[-1][1], now)
        assert all(filters.may_contain(keys).all() for arrival, keys in posted if now - arrival <= WINDOW)


def test_filters_of_keys_older_than_the_window_are_dropped() -> None:
    """A process that runs for months holds the keys of one window."""
    filters = filled()
    for day in range(100):
        filters.add(keys_of(range(100 * day, 100 * day + 100)), arrival=50 * day)
    assert len(filters) <= 5
    stale = filters.may_contain(keys_of(range(100)))
    assert stale.mean() < 0.1


def test_few_unknown_keys_look_known() -> None:
    """Otherwise the gateway would query the worker about every event."""
    filters = filled(min_capacity=10_000)
    filters.add(keys_of(range(20_000)), 0)
    unknown = keys_of(f"unknown {number}" for number in range(10_000))
    assert filters.may_contain(unknown).mean() < 0.05


class CountingStore:
    """Has no keys, and counts the keys that it is queried for."""

    def __init__(self) -> None:
        self.queried = 0

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        self.queried += len(key_hashes)
        return SeenRows([], [], [])


@pytest.mark.anyio
async def test_traffic_without_repeats_costs_no_query() -> None:
    """At most one key in a million is queried: each filter is wrong about one in 5 million."""
    filters, store = KeyFilters(WINDOW), CountingStore()
    await filters.fill(FakeSeenKeys(random_keys(500_000, seed=0), piece=100_000), 1, newest=0)
    hints = FilteredKeyHints(filters, store, partitions=2, metrics=NullMetrics())
    for seed in range(1, 101):
        keys = random_keys(30_000, seed)
        assert await hints.body_hashes(keys, now=0) == {}
        hints.remember(keys, keys[:, 0], arrival=0)
    assert len(filters) > 2
    assert store.queried <= 3


def random_keys(size: int, seed: int) -> KeyHashes:
    return np.random.default_rng(seed).integers(0, 2**64, (size, 2), np.uint64)


@pytest.mark.anyio
async def test_keys_that_were_in_the_log_at_the_start_are_read_once_counted() -> None:
    """A store that does not answer is retried."""
    before, late = keys_of(["before"]), keys_of(["late"])
    seen, filters = FakeSeenKeys(before, failures=1), KeyFilters(WINDOW, CAPACITY)
    counted = asyncio.Event()

    async def wait_caught_up() -> None:
        await counted.wait()

    async with fill_in_background(filters, seen, 1, 0, wait_caught_up, NullLogger()):
        await until(lambda: not filters.may_contain(late).any())
        assert filters.may_contain(before).all()
        seen.partitions = [np.concatenate([before, late])]
        counted.set()
        await until(lambda: bool(filters.may_contain(late).all()))
        assert filters.may_contain(before).all()
        assert not filters.may_contain(keys_of(["unknown"])).any()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a background task changes it
            await asyncio.sleep(0.005)
