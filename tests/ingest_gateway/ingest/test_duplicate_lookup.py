"""The gateway's hint about counted keys asks the store only when it must."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ingest_gateway.ingest.duplicate_lookup import FilteredKeyHints
from schemas.errors import StoreFailed
from schemas.flush import SeenRows
from schemas.hashing import KeyHashes, as_halves, key_hash, partition_of

KEYS = [key_hash("acct", name) for name in "abc"]


class Knows:
    """A filter that knows some keys exactly."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = {tuple(row) for row in as_halves(b"".join(keys)).tolist()}

    def may_contain(self, hashes: KeyHashes) -> npt.NDArray[np.bool_]:
        return np.array([tuple(row) in self._keys for row in hashes.tolist()])

    def add(self, keys: KeyHashes, arrival: int) -> None:
        """At their arrival nothing is asked."""
        del arrival
        self._keys |= {tuple(row) for row in keys.tolist()}


class CountingStore:
    """Seen rows of every key it is asked for, arrived at 100."""

    def __init__(self, *, broken: bool = False) -> None:
        self.asked: list[Sequence[bytes]] = []
        self._broken = broken

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        self.asked.append(key_hashes)
        if self._broken:
            raise StoreFailed("no answer")
        return SeenRows(key_hashes, [7] * len(key_hashes), [100] * len(key_hashes))


def known(key_filter: Knows, store: CountingStore, now: int = 100) -> Mapping[bytes, int]:
    hint = FilteredKeyHints(key_filter, store, partitions=1, window=50)
    return asyncio.run(hint.body_hashes(as_halves(b"".join(KEYS)), now))


def test_the_store_is_asked_only_for_what_the_filter_may_know() -> None:
    """New keys, nearly all of them, cost no query."""
    store = CountingStore()
    assert known(Knows(KEYS[1]), store) == {KEYS[1]: 7}
    assert store.asked == [[KEYS[1]]]


def test_nothing_suspected_asks_nothing() -> None:
    """The usual case."""
    store = CountingStore()
    assert known(Knows(), store) == {}
    assert store.asked == []


def test_a_key_outside_the_window_is_unknown() -> None:
    """Like the processor, which decides."""
    assert known(Knows(*KEYS), CountingStore(), now=151) == {}
    assert len(known(Knows(*KEYS), CountingStore(), now=150)) == 3


def test_each_partition_is_asked_for_its_own() -> None:
    """And one of which nothing is suspected, not at all."""
    store = CountingStore()
    hint = FilteredKeyHints(Knows(*KEYS), store, partitions=64, window=50)
    assert len(asyncio.run(hint.body_hashes(as_halves(b"".join(KEYS)), 100))) == 3
    assert sorted(key for asked in store.asked for key in asked) == sorted(KEYS)
    assert len(store.asked) == len({int(partition_of(as_halves(key), 64)[0]) for key in KEYS})


def test_what_was_made_durable_is_suspected() -> None:
    """From then on."""
    store = CountingStore()
    hint = FilteredKeyHints(Knows(), store, partitions=1, window=50)
    keys = as_halves(b"".join(KEYS))
    hint.remember(keys[:1], np.array([7], np.uint64), 100)
    assert asyncio.run(hint.body_hashes(keys, 100)) == {KEYS[0]: 7}


def test_a_store_that_fails_knows_nothing() -> None:
    """A hint that is missing costs an honest word, never an event."""
    assert known(Knows(*KEYS), CountingStore(broken=True)) == {}
