"""A body that takes long to parse does not hold up other requests."""

import asyncio
import gzip
import json

import pytest

from ingest_gateway.api.ingest_body import takes_long
from ingest_gateway.api.routes_ingest import INGEST
from tests.ingest_gateway.conftest import InMemoryApp
from tests.ingest_gateway.ingest.examples import batch, event, raw_batch, raw_event

pytestmark = pytest.mark.anyio

HOSTILE = raw_batch(*[raw_event(f"k{number}", properties=b'{"a":1,"a":2}') for number in range(4_000)])
"""Each event is invalid in its own way."""


async def turns_while_posting(in_memory_app: InMemoryApp, headers: dict[str, str], body: bytes) -> tuple[int, int]:
    """The status of the response, and how many turns another task had meanwhile."""
    posting = asyncio.create_task(in_memory_app.client.post(INGEST, headers=headers, content=body))
    turns = 0
    while not posting.done():
        turns += 1
        await asyncio.sleep(0)
    return posting.result().status_code, turns


async def test_other_tasks_run_meanwhile(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Other tasks run while a large body is parsed, plain or compressed; a small body takes few turns."""
    small = await turns_while_posting(in_memory_app, auth, batch(event(), {}))
    plain = await turns_while_posting(in_memory_app, auth, HOSTILE)
    compressed = await turns_while_posting(in_memory_app, auth | {"content-encoding": "gzip"}, gzip.compress(HOSTILE))
    assert (small[0], plain[0], compressed[0]) == (200, 400, 400)
    assert small[1] < 100
    assert min(plain[1], compressed[1]) > 10 * small[1]


async def test_the_response_does_not_depend_on_the_thread(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Verdicts, and refusals of a whole body, are the same wherever the body is parsed."""
    good = [event(f"k{number}") for number in range(3_000)]
    reply = (await in_memory_app.client.post(INGEST, headers=auth, content=batch(*good, {}))).json()
    assert (reply["accepted"], [rejection["index"] for rejection in reply["rejected"]]) == (3_000, [3_000])
    broken = await in_memory_app.client.post(INGEST, headers=auth, content=b'{"events":[' + b"[" * 1_500_000)
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    bomb = gzip.compress(b" " * 40_000_000)
    assert len(bomb) > 4_000
    reply_to_bomb = await in_memory_app.client.post(INGEST, headers=auth | {"content-encoding": "gzip"}, content=bomb)
    assert reply_to_bomb.status_code == 413


async def test_concurrent_bodies_are_parsed_one_in_a_turn(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Another task never waits for several bodies."""
    bodies = [batch(*[event(f"{body}-{number}") for number in range(100)]) for body in range(8)]
    posting = [asyncio.create_task(in_memory_app.client.post(INGEST, headers=auth, content=body)) for body in bodies]
    read, most = 0, 0
    while not all(post.done() for post in posting):
        await asyncio.sleep(0)
        now = len(in_memory_app.intake.posted)
        most, read = max(most, now - read), now
    assert [post.result().status_code for post in posting] == [200] * len(bodies)
    assert (read, most) == (len(bodies), 1)


def test_ordinary_bodies_do_not_take_long() -> None:
    """A thousand events are parsed at once; ten thousand empty objects are not."""
    assert not takes_long(json.dumps(event()).encode())
    assert not takes_long(batch(*[event(f"k{number}") for number in range(1_000)]))
    assert takes_long(b'{"events":[' + b",".join([b"{}"] * 10_000) + b"]}")
    assert takes_long(b"x" * 1_000_001)
