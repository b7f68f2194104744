"""The load client delivers every body, even if posts fail."""

import asyncio
import time
from collections.abc import Callable

import pytest
import uvloop

from schemas.errors import Invalid, Overloaded, Refused
from tallyhouse.load.client import DeliveryOptions, LoadClient
from tallyhouse.load.expected_usage import ExpectedUsage
from tallyhouse.load.post_generator import PostGenerator
from tallyhouse.load.target import parse_target
from tallyhouse.load.workload import Workload, WorkloadShape
from tests.tallyhouse.load.receiver import Script, accept, receiver

SHAPE = WorkloadShape(customers=10)
PLAN = DeliveryOptions(timeout=5)
NOW = 1_795_262_400_000_000


async def delivered(
    script: Script, *, events: int, batch: int = 100, options: DeliveryOptions = PLAN
) -> tuple[LoadClient, ExpectedUsage, list[bytes]]:
    expected_usage = ExpectedUsage(SHAPE)
    generator = PostGenerator(Workload(SHAPE, "run00001"), expected_usage, batch=batch, now=lambda: NOW, events=events)
    async with receiver(script) as (target, bodies):
        client = LoadClient([target], generator, options, time.monotonic)
        await client.run()
    return client, expected_usage, bodies


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_asyncio_and_uvloop_both_work(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """The command runs on uvloop, the tests on asyncio's own."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        client, _, _ = runner.run(delivered(accept, events=200))
    assert client.stats.acked == 200


def test_every_event_is_posted_and_acked() -> None:
    """The last post is smaller."""
    client, _, bodies = asyncio.run(delivered(accept, events=1050))
    assert (client.stats.sent, client.stats.acked, client.stats.retries) == (1050, 1050, 0)
    assert len(bodies) == 11
    assert len(client.stats.latencies) == 11


def test_a_batch_size_of_one_posts_single_events() -> None:
    client, expected_usage, bodies = asyncio.run(delivered(accept, events=30, batch=1))
    assert (client.stats.acked, len(bodies), expected_usage.events) == (30, 30, 30)


def test_a_body_is_retried_after_a_503() -> None:

    def busy_at_first(number: int, body: bytes) -> tuple[int, str, bytes]:
        return (503, "Retry-After: 0\r\n", b"{}") if number == 1 else accept(number, body)

    client, _, bodies = asyncio.run(delivered(busy_at_first, events=100, options=DeliveryOptions(connections=1)))
    assert (client.stats.acked, client.stats.retries) == (100, 1)
    assert bodies[0] == bodies[1]


def test_a_body_is_retried_after_a_lost_connection() -> None:
    """The events may be durable already; their keys make the retry safe."""
    client, _, bodies = asyncio.run(
        delivered(lambda number, body: None if number == 2 else accept(number, body), events=300)
    )
    assert (client.stats.acked, client.stats.retries) == (300, 1)
    assert len(bodies) == 4
    assert len(set(bodies)) == 3


def test_a_lost_connection_is_replaced_by_one_to_the_next_target() -> None:
    """As behind a load balancer, the body is retried there."""

    async def deliver() -> tuple[int, int, int]:
        expected_usage = ExpectedUsage(SHAPE)
        generator = PostGenerator(Workload(SHAPE, "run00001"), expected_usage, batch=100, now=lambda: NOW, events=400)
        async with receiver(lambda _number, _body: None) as (closing, lost), receiver(accept) as (accepting, bodies):
            client = LoadClient([closing, accepting], generator, PLAN, time.monotonic)
            await client.run()
        assert set(lost) <= set(bodies)
        return client.stats.acked, len(lost), len(bodies)

    acked, lost, received = asyncio.run(deliver())
    assert (acked, received) == (400, 4)
    assert lost > 0


def test_a_refusal_ends_the_run_with_its_message() -> None:
    with pytest.raises(Refused, match="401: no such key"):
        asyncio.run(delivered(lambda _number, _body: (401, "", b"no such key"), events=100))


def test_a_refused_event_ends_the_run() -> None:
    """Every event of the workload is valid, so the expected usage would be wrong without it."""
    with pytest.raises(Refused, match="1 of 100 valid events were refused"):
        asyncio.run(
            delivered(lambda _number, _body: (200, "", b'{"accepted":99,"rejected":[{"index":3}]}'), events=100)
        )


def test_the_run_fails_after_its_timeout() -> None:
    with pytest.raises(Overloaded, match="a lost connection"):
        asyncio.run(
            delivered(lambda _number, _body: None, events=100, options=DeliveryOptions(connections=1, timeout=0.01))
        )


def test_posts_keep_to_the_rate() -> None:
    began = time.monotonic()
    asyncio.run(delivered(accept, events=500, options=DeliveryOptions(rate=1000)))
    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("url", ["https://localhost", "localhost:8787", ""])
def test_an_address_must_be_plain_http(url: str) -> None:
    with pytest.raises(Invalid, match="http://localhost:8787"):
        parse_target(url, "ak_test_key")
