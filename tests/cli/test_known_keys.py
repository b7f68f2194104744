"""The gateway's hint about counted keys asks the store only when it must."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ingest_gateway.ingest.known_keys import FilteredKeys
from schemas.errors import StoreFailed
from schemas.flush import SeenRows
from schemas.hashing import KeyHashes, as_halves, key_hash

KEYS = [key_hash("acct", name) for name in "abc"]


class Knows:
    """A filter that knows some keys exactly."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = {tuple(row) for row in as_halves(b"".join(keys)).tolist()}

    def may_contain(self, hashes: KeyHashes) -> npt.NDArray[np.bool_]:
        return np.array([tuple(row) in self._keys for row in hashes.tolist()])


class Store:
    """Seen rows of every key it is asked for, arrived at 100."""

    def __init__(self, *, broken: bool = False) -> None:
        self.asked: list[Sequence[bytes]] = []
        self._broken = broken

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        self.asked.append(key_hashes)
        if self._broken:
            raise StoreFailed("no answer")
        return SeenRows(key_hashes, [7] * len(key_hashes), [100] * len(key_hashes))


def known(key_filter: Knows | None, store: Store, now: int = 100) -> Mapping[bytes, int]:
    hint = FilteredKeys(lambda _partition: key_filter, store, partitions=1, window=50)
    return asyncio.run(hint.bodies(as_halves(b"".join(KEYS)), now))


def test_the_store_is_asked_only_for_what_the_filter_may_know() -> None:
    """New keys, nearly all of them, cost no query."""
    store = Store()
    assert known(Knows(KEYS[1]), store) == {KEYS[1]: 7}
    assert store.asked == [[KEYS[1]]]


def test_nothing_suspected_asks_nothing() -> None:
    """The usual case."""
    store = Store()
    assert known(Knows(), store) == {}
    assert store.asked == []


def test_a_key_outside_the_window_is_unknown() -> None:
    """Like the processor, which decides."""
    assert known(Knows(*KEYS), Store(), now=151) == {}
    assert len(known(Knows(*KEYS), Store(), now=150)) == 3


def test_a_partition_that_boots_asks_the_store_for_every_key() -> None:
    """A retry just after a start is told what it is."""
    store = Store()
    assert len(known(None, store)) == 3
    assert store.asked == [KEYS]


def test_a_store_that_fails_knows_nothing() -> None:
    """A hint that is missing costs an honest word, never an event."""
    assert known(Knows(*KEYS), Store(broken=True)) == {}
