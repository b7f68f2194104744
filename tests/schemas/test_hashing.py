"""Hashes of keys as pairs of numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.hashing import KeyHashes, as_digests, as_halves, first_occurrences

# Few different halves, so that whole keys repeat, halves alone repeat, and leading bits alone are equal.
halves = st.sampled_from([0, 1, 2, 2**63, 2**63 + 1, 2**64 - 1])
many_keys = st.lists(st.tuples(halves, halves), max_size=40)


def as_keys(pairs: list[tuple[int, int]]) -> KeyHashes:
    return np.array(pairs, dtype=np.uint64).reshape(-1, 2)


@given(many_keys)
def test_first_occurrences_are_those_of_a_plain_search(pairs: list[tuple[int, int]]) -> None:
    assert first_occurrences(as_keys(pairs)).tolist() == [pairs.index(pair) for pair in pairs]


def test_keys_that_share_half_their_hash_are_different_keys() -> None:
    """All 128 bits count, although one half alone finds the candidates."""
    keys = as_keys([(1, 7), (2, 7), (1, 7), (1, 8), (2, 7)])
    assert first_occurrences(keys).tolist() == [0, 1, 0, 3, 1]


def test_a_large_batch_with_few_repeats() -> None:
    """Nearly all rows are left out of the comparison, but no repeat is; some keys share only half their hash."""
    keys = np.random.default_rng(7).integers(0, 2**64, (20_000, 2), dtype=np.uint64)
    keys[[500, 19_999]] = keys[[3, 3]]
    keys[700] = keys[699]
    keys[[800, 801, 802], 1] = keys[3, 1]
    keys[802] = keys[800]
    expected = np.arange(20_000)
    expected[802] = 800
    expected[[500, 19_999, 700]] = [3, 3, 699]
    assert (first_occurrences(keys) == expected).all()


@given(many_keys)
def test_digests_and_halves_are_two_forms_of_one_key(pairs: list[tuple[int, int]]) -> None:
    keys = as_keys(pairs)
    assert (as_halves(b"".join(as_digests(keys))) == keys).all()
