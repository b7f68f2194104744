"""Recent keys may be forgotten but never invented, and are warmed up from the log at the start."""

import asyncio

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.ingest.recent_keys import RecentKeys, warm_up
from schemas.frame import NewFrame, encode
from schemas.hashing import as_halves
from stream_processors.backends.log.memory import MemoryFrameLog
from tests.factories import NOW, Event, make_batch, make_event

Words = npt.NDArray[np.uint64]

WINDOW = 100


def keys_of(numbers: list[int]) -> Words:
    """Pseudo-random keys, the same for the same number."""
    return np.array([[hash((number, half)) % 2**64 for half in "hl"] for number in numbers], np.uint64).reshape(-1, 2)


def some_keys(count: int) -> Words:
    return np.random.default_rng(1).integers(0, 2**64, (count, 2), np.uint64)


@given(
    runs=st.lists(st.lists(st.integers(0, 40), unique=True, max_size=12), max_size=12),
    queried=st.sets(st.integers(0, 60)),
)
def test_what_is_found_was_remembered(runs: list[list[int]], queried: set[int]) -> None:
    """A key that is found was remembered within the window, with the body that is returned."""
    recent = RecentKeys(16, WINDOW)
    given_bodies: dict[int, set[tuple[int, int]]] = {}
    for moment, run in enumerate(runs):
        recent.remember(keys_of(run), np.array(run, np.uint64) + np.uint64(moment), moment * 20)
        for number in run:
            given_bodies.setdefault(number, set()).add((number + moment, moment * 20))
    now, numbers = len(runs) * 20, sorted(queried)
    found, bodies = recent.find(keys_of(numbers), now)
    for number, is_found, body in zip(numbers, found.tolist(), bodies.tolist(), strict=True):
        if is_found:
            assert any(body == known and arrival >= now - WINDOW for known, arrival in given_bodies[number])


def test_few_are_forgotten() -> None:
    """With the ring full, at most one key in a hundred is lost, and every returned body is correct."""
    keys = some_keys(2**14)
    recent = RecentKeys(2**14, WINDOW)
    for start in range(0, len(keys), 1000):
        part = keys[start : start + 1000]
        recent.remember(part, part[:, 0], 5)
    found, bodies = recent.find(keys, 6)
    assert found.mean() > 0.99
    assert (bodies[found] == keys[found, 0]).all()


def test_new_keys_overwrite_the_oldest() -> None:
    """Memory stays bounded, even if one batch is larger than the ring."""
    keys = some_keys(1024)
    recent = RecentKeys(256, WINDOW)
    recent.remember(keys, keys[:, 0], 5)
    found, _ = recent.find(keys, 6)
    assert not found[:768].any()
    assert found[768:].mean() > 0.9


def test_a_key_is_known_up_to_the_end_of_the_window() -> None:
    keys = some_keys(1)
    recent = RecentKeys(16, WINDOW)
    recent.remember(keys, keys[:, 0], 5)
    assert recent.find(keys, 5 + WINDOW)[0].all()
    assert not recent.find(keys, 6 + WINDOW)[0].any()


def test_an_empty_memory_knows_nothing() -> None:
    """Not even a key whose hash is zero."""
    assert not RecentKeys(16, WINDOW).find(np.zeros((3, 2), np.uint64), 0)[0].any()


def warmed_up(payloads: list[bytes], most_bytes: int = 10**6) -> RecentKeys:
    async def work() -> RecentKeys:
        log, recent = MemoryFrameLog(1), RecentKeys(1024, WINDOW)
        for place, payload in enumerate(payloads):
            await log.append([NewFrame(partition=0, arrival=NOW + place, payload=payload)])
        await warm_up(recent, log, 1, most_bytes)
        return recent

    return asyncio.run(work())


def payload_of(*events: Event) -> bytes:
    return encode(make_batch(list(events)))


def known_body(recent: RecentKeys, event: Event) -> int | None:
    """The hash of the body that is remembered for the event's key."""
    found, bodies = recent.find(as_halves(event.key_hash), NOW)
    return int(bodies[0]) if found[0] else None


def test_every_waiting_event_is_remembered() -> None:
    events = [make_event(f"key_{number}", {"tokens": number}) for number in range(200)]
    recent = warmed_up([payload_of(event) for event in events])
    assert [known_body(recent, event) for event in events] == [event.body_hash for event in events]
    assert known_body(recent, make_event("another", {})) is None


def test_the_first_body_of_a_key_is_remembered() -> None:
    """The processor counts the first one too."""
    first, other = make_event("key", {"tokens": 1}), make_event("key", {"tokens": 2})
    assert known_body(warmed_up([payload_of(first), payload_of(other)]), other) == first.body_hash


def test_only_the_newest_of_a_long_log_are_read() -> None:
    """A start does not wait for a backlog."""
    events = [make_event(f"key_{number}", {}) for number in range(200)]
    recent = warmed_up([payload_of(event) for event in events], most_bytes=1)
    assert [known_body(recent, event) is not None for event in events] == [False] * 136 + [True] * 64


def test_an_unreadable_frame_is_left_to_the_processor() -> None:
    """The start skips it; only `duplicate` verdicts are lost."""
    event = make_event("key", {})
    assert known_body(warmed_up([payload_of(event), b"\xff"]), event) == event.body_hash
