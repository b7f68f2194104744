"""Key hints from the usage store: a query only for keys that the filter suspects."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ingest_gateway.ingest.duplicate_lookup import FilteredKeyHints
from schemas.errors import StoreFailed
from schemas.flush import SeenRows
from schemas.hashing import KeyHashes, as_halves, key_hash, partition_of
from schemas.metrics import Counter, NullMetrics

KEYS = [key_hash("acct", name) for name in "abc"]


class ExactFilter:
    """A key filter without false positives."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = {tuple(row) for row in as_halves(b"".join(keys)).tolist()}

    def may_contain(self, hashes: KeyHashes) -> npt.NDArray[np.bool_]:
        return np.array([tuple(row) in self._keys for row in hashes.tolist()])

    def add(self, keys: KeyHashes, arrival: int) -> None:
        del arrival
        self._keys |= {tuple(row) for row in keys.tolist()}


class RecordingStore:
    """Has a seen row for every key it is queried for, arrived at 100, and records the queries."""

    def __init__(self, *, broken_partitions: Collection[int] = ()) -> None:
        self.queries: list[Sequence[bytes]] = []
        self._broken_partitions = broken_partitions

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        self.queries.append(key_hashes)
        if partition in self._broken_partitions:
            raise StoreFailed("no answer")
        return SeenRows(key_hashes, [7] * len(key_hashes), [100] * len(key_hashes))


def known(key_filter: ExactFilter, store: RecordingStore, now: int = 100) -> Mapping[bytes, int]:
    hints = FilteredKeyHints(key_filter, store, partitions=1, metrics=NullMetrics(), window=50)
    return asyncio.run(hints.body_hashes(as_halves(b"".join(KEYS)), now))


def test_only_suspected_keys_are_queried() -> None:
    store = RecordingStore()
    assert known(ExactFilter(KEYS[1]), store) == {KEYS[1]: 7}
    assert store.queries == [[KEYS[1]]]


def test_new_keys_cost_no_query() -> None:
    store = RecordingStore()
    assert known(ExactFilter(), store) == {}
    assert store.queries == []


def test_a_key_outside_the_window_is_unknown() -> None:
    """The window is the processor's, which decides."""
    assert known(ExactFilter(*KEYS), RecordingStore(), now=151) == {}
    assert len(known(ExactFilter(*KEYS), RecordingStore(), now=150)) == 3


def test_each_partition_is_queried_for_its_own_keys() -> None:
    """A partition without a suspected key is not queried."""
    store = RecordingStore()
    hints = FilteredKeyHints(ExactFilter(*KEYS), store, partitions=64, metrics=NullMetrics(), window=50)
    assert len(asyncio.run(hints.body_hashes(as_halves(b"".join(KEYS)), 100))) == 3
    assert sorted(key for query in store.queries for key in query) == sorted(KEYS)
    assert len(store.queries) == len({int(partition_of(as_halves(key), 64)[0]) for key in KEYS})


def test_a_durable_key_is_suspected_from_then_on() -> None:
    store = RecordingStore()
    hints = FilteredKeyHints(ExactFilter(), store, partitions=1, metrics=NullMetrics(), window=50)
    keys = as_halves(b"".join(KEYS))
    hints.remember(keys[:1], np.array([7], np.uint64), 100)
    assert asyncio.run(hints.body_hashes(keys, 100)) == {KEYS[0]: 7}


class CountingMetrics(NullMetrics):
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.counts: list[tuple[Counter, float, tuple[str, ...]]] = []

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None:
        self.counts.append((metric, amount, labels))


def test_a_partition_that_fails_costs_only_its_own_keys_their_hints() -> None:
    """The other partitions still answer, and the metric counts the keys that were not looked up."""
    halves = as_halves(b"".join(KEYS))
    places = [int(number) for number in partition_of(halves, 64)]
    broken = places[0]
    metrics = CountingMetrics()
    store = RecordingStore(broken_partitions=[broken])
    hints = FilteredKeyHints(ExactFilter(*KEYS), store, partitions=64, metrics=metrics, window=50)
    answered = asyncio.run(hints.body_hashes(halves, 100))
    assert answered == {key: 7 for key, place in zip(KEYS, places, strict=True) if place != broken}
    assert answered
    assert metrics.counts == [(Counter.UNCHECKED, places.count(broken), ("failed",))]


def test_new_keys_are_not_counted_as_unchecked_when_the_store_fails() -> None:
    """The filter alone tells that they are new: it has no false negatives."""
    metrics = CountingMetrics()
    store = RecordingStore(broken_partitions=[0])
    hints = FilteredKeyHints(ExactFilter(KEYS[0]), store, partitions=1, metrics=metrics, window=50)
    assert asyncio.run(hints.body_hashes(as_halves(b"".join(KEYS)), 100)) == {}
    assert metrics.counts == [(Counter.UNCHECKED, 1, ("failed",))]
