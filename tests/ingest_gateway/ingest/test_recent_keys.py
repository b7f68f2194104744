"""The memory of recent keys: it may forget, it never invents."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.ingest.recent_keys import RecentKeys

Words = npt.NDArray[np.uint64]

WINDOW = 100


def keys_of(numbers: list[int]) -> Words:
    """Spread like hashes, the same for the same number."""
    return np.array([[hash((number, half)) % 2**64 for half in "hl"] for number in numbers], np.uint64).reshape(-1, 2)


def some_keys(count: int) -> Words:
    return np.random.default_rng(1).integers(0, 2**64, (count, 2), np.uint64)


@given(
    runs=st.lists(st.lists(st.integers(0, 40), unique=True, max_size=12), max_size=12),
    asked=st.sets(st.integers(0, 60)),
)
def test_what_is_found_was_remembered(runs: list[list[int]], asked: set[int]) -> None:
    """A key that is found was given, with one of the bodies it was given with, within the window."""
    recent = RecentKeys(16, WINDOW)
    given_bodies: dict[int, set[tuple[int, int]]] = {}
    for moment, run in enumerate(runs):
        recent.remember(keys_of(run), np.array(run, np.uint64) + np.uint64(moment), moment * 20)
        for number in run:
            given_bodies.setdefault(number, set()).add((number + moment, moment * 20))
    now, numbers = len(runs) * 20, sorted(asked)
    found, bodies = recent.find(keys_of(numbers), now)
    for number, is_found, body in zip(numbers, found.tolist(), bodies.tolist(), strict=True):
        if is_found:
            assert any(body == known and arrival >= now - WINDOW for known, arrival in given_bodies[number])


def test_few_are_forgotten() -> None:
    """With the ring full, at most one key in a hundred is lost, and every body found is the right one."""
    keys = some_keys(2**14)
    recent = RecentKeys(2**14, WINDOW)
    for start in range(0, len(keys), 1000):
        part = keys[start : start + 1000]
        recent.remember(part, part[:, 0], 5)
    found, bodies = recent.find(keys, 6)
    assert found.mean() > 0.99
    assert (bodies[found] == keys[found, 0]).all()


def test_the_newest_push_out_the_oldest() -> None:
    """Memory stays bounded: what came a whole ring ago is gone, even where one batch is larger than the ring."""
    keys = some_keys(1024)
    recent = RecentKeys(256, WINDOW)
    recent.remember(keys, keys[:, 0], 5)
    found, _ = recent.find(keys, 6)
    assert not found[:768].any()
    assert found[768:].mean() > 0.9


def test_the_window_ends() -> None:
    """A key is known up to the end of the window and not after it."""
    keys = some_keys(1)
    recent = RecentKeys(16, WINDOW)
    recent.remember(keys, keys[:, 0], 5)
    assert recent.find(keys, 5 + WINDOW)[0].all()
    assert not recent.find(keys, 6 + WINDOW)[0].any()


def test_an_empty_memory_knows_nothing() -> None:
    """Not even the key whose hash is zero."""
    assert not RecentKeys(16, WINDOW).find(np.zeros((3, 2), np.uint64), 0)[0].any()
