"""What the gateway remembers of the log when it starts."""

import asyncio

from ingest_gateway.ingest.recall import warm_up
from ingest_gateway.ingest.recent_keys import RecentKeys
from schemas.frame import NewFrame, encode
from schemas.hashing import as_halves
from stream_processors.backends.log.memory import MemoryFrameLog
from tests.factories import NOW, Event, make_batch, make_event

WINDOW = 100


def recalled(payloads: list[bytes], most_bytes: int = 10**6) -> RecentKeys:
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
    """However many frames hold them."""
    events = [make_event(f"key_{number}", {"tokens": number}) for number in range(200)]
    recent = recalled([payload_of(event) for event in events])
    assert [known_body(recent, event) for event in events] == [event.body_hash for event in events]
    assert known_body(recent, make_event("another", {})) is None


def test_the_first_body_of_a_key_stands() -> None:
    """As the processor will decide it."""
    first, other = make_event("key", {"tokens": 1}), make_event("key", {"tokens": 2})
    assert known_body(recalled([payload_of(first), payload_of(other)]), other) == first.body_hash


def test_only_the_newest_of_a_long_log_are_read() -> None:
    """A start must not wait for a backlog."""
    events = [make_event(f"key_{number}", {}) for number in range(200)]
    recent = recalled([payload_of(event) for event in events], most_bytes=1)
    assert [known_body(recent, event) is not None for event in events] == [False] * 136 + [True] * 64


def test_an_unreadable_frame_is_left_to_the_processor() -> None:
    """It costs an honest word, never the start."""
    event = make_event("key", {})
    assert known_body(recalled([payload_of(event), b"\xff"]), event) == event.body_hash
