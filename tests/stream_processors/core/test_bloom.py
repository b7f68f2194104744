"""The Bloom filter: no false negatives."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.hashing import KeyHashes
from stream_processors.core.bloom import BloomFilter


def hashes(size: int, seed: int = 1) -> KeyHashes:
    return np.random.default_rng(seed).integers(0, 2**64, size=(size, 2), dtype=np.uint64)


@given(
    expected=st.integers(0, 200),
    batches=st.lists(st.lists(st.tuples(*[st.integers(0, 2**64 - 1)] * 2), max_size=20), max_size=10),
)
def test_an_added_key_is_always_found(expected: int, batches: list[list[tuple[int, int]]]) -> None:
    """For any hashes in batches of any size, also far beyond the capacity."""
    keys = BloomFilter.sized_for(expected)
    for batch in batches:
        keys.add(np.array(batch, dtype=np.uint64).reshape(-1, 2))
    everything = np.array([key for batch in batches for key in batch], dtype=np.uint64).reshape(-1, 2)
    assert keys.may_contain(everything).all()
    assert keys.count == len(everything)


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 50_000])
def test_no_key_of_a_batch_is_lost(size: int) -> None:
    """Neither at the edges of slices, nor where keys share a block."""
    keys = BloomFilter.sized_for(size // 10)
    keys.add(hashes(size))
    assert keys.may_contain(hashes(size)).tolist() == [True] * size


def test_an_empty_filter_contains_nothing() -> None:
    """An empty query has an empty result."""
    keys = BloomFilter.sized_for(1000)
    assert not keys.may_contain(hashes(1000)).any()
    assert len(keys.may_contain(hashes(0))) == 0


@pytest.mark.parametrize(("load", "most"), [(1.0, 40), (0.75, 2)])
def test_false_positives_stay_rare(load: float, most: int) -> None:
    """Of a million, about 10 when full, and 1 in 5 million before it is nearly full; also if all keys share their low
    bits."""
    keys = BloomFilter.sized_for(200_000)
    alike = np.array([2**64 - 1, 2**64 - 2**16], dtype=np.uint64)
    known, strange = hashes(int(200_000 * load), seed=1) & alike, hashes(1_000_000, seed=2) & alike
    keys.add(known)
    assert keys.may_contain(strange).sum() <= most


def test_it_is_nearly_full_at_three_quarters() -> None:
    """At least the expected number of keys fits before that."""
    keys = BloomFilter.sized_for(100)
    assert keys.capacity >= 100
    keys.add(hashes(keys.capacity * 3 // 4))
    assert not keys.is_nearly_full
    keys.add(hashes(1, seed=2))
    assert keys.is_nearly_full


def test_queries_while_another_thread_adds_are_correct() -> None:
    """Keys added before are found throughout."""
    keys = BloomFilter.sized_for(200_000)
    before = hashes(2000, seed=5)
    keys.add(before)

    def add_many() -> None:
        for seed in range(30):
            keys.add(hashes(5000, seed))

    writer = threading.Thread(target=add_many)
    writer.start()
    answers = []
    while writer.is_alive():
        answers.append(keys.may_contain(before).all())
    writer.join()
    assert all(answers)
    assert keys.may_contain(hashes(5000, 29)).all()
