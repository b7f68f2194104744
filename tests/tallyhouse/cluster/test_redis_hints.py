"""Keys shared by gateways through Redis: correct responses across processes, and nothing depends on them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import numpy as np
import pytest
import redis.asyncio

from schemas.hashing import KeyHashes, as_halves, key_hash
from schemas.logger import NullLogger
from schemas.metrics import Counter, Gauge, Histogram
from tallyhouse.cluster.gateway import open_key_hints
from tallyhouse.cluster.redis_hints import RedisHints
from tallyhouse.runtime.context import Runtime
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tests.backing_services.redis import RedisServer, redis_server
from tests.ingest_gateway.ingest.doubles import WINDOW, FakeLog, intake_over
from tests.ingest_gateway.ingest.examples import batch, event, post
from tests.server_process import free_port

pytestmark = pytest.mark.anyio

DIGESTS = [key_hash("acct", name) for name in "abc"]
KEYS = as_halves(b"".join(DIGESTS))
NULL_KEY = as_halves(bytes(16))
BODIES = np.array([1, 2, 2**64 - 1], np.uint64)
PATIENCE = 20.0

NewGateway = Callable[[], Awaitable[RedisHints]]


class Gauges:
    """Remembers what was last said."""

    def __init__(self) -> None:
        self.said: dict[Gauge, float] = {}

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None:
        """Not asked for."""

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        self.said[metric] = value

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        """Not asked for."""


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
async def server(running: RedisServer) -> RedisServer:
    """Empty, and running whatever the last test did to it."""
    running.kill()
    running.start()
    return running


@pytest.fixture
def gauges() -> Gauges:
    return Gauges()


@pytest.fixture
async def new_gateway(server: RedisServer, gauges: Gauges) -> AsyncIterator[NewGateway]:
    opened: list[RedisHints] = []

    async def new() -> RedisHints:
        client = redis.asyncio.Redis(unix_socket_path=str(server.socket))
        keys = RedisHints(client, WINDOW, timeout_seconds=5, timer=time.monotonic, metrics=gauges, logger=NullLogger())
        opened.append(await keys.__aenter__())
        return keys

    yield new
    for keys in opened:
        await keys.__aexit__(None, None, None)


async def known(keys: RedisHints, expected: int, now: int = 100, asked: KeyHashes = KEYS) -> Mapping[bytes, int]:
    """What it knows as soon as it knows so many; what it knows at last where that never comes."""
    found = await keys.body_hashes(asked, now)
    deadline = time.monotonic() + PATIENCE
    for _ in range(int(PATIENCE * 100)):
        if len(found) >= expected or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.01)
        found = await keys.body_hashes(asked, now)
    return found


async def test_what_one_gateway_made_durable_another_knows(new_gateway: NewGateway) -> None:
    """With its body, so that the other can tell a duplicate from a conflict."""
    one, other = await new_gateway(), await new_gateway()
    assert await other.body_hashes(KEYS, 100) == {}
    one.remember(KEYS, BODIES, 100)
    assert await known(other, 3) == dict(zip(DIGESTS, BODIES.tolist(), strict=True))


async def test_the_first_body_stands(new_gateway: NewGateway) -> None:
    """As in the log: a second one is a conflict, not a new truth."""
    one, other = await new_gateway(), await new_gateway()
    one.remember(KEYS[:1], BODIES[:1], 100)
    await known(one, 1)
    other.remember(KEYS, BODIES[::-1].copy(), 101)
    assert (await known(one, 3))[DIGESTS[0]] == 1


async def test_a_key_outside_the_window_is_unknown(new_gateway: NewGateway) -> None:
    """Like the processor, which decides."""
    keys = await new_gateway()
    keys.remember(KEYS, BODIES, 100)
    assert len(await known(keys, 3, now=100 + WINDOW)) == 3
    assert await keys.body_hashes(KEYS, 101 + WINDOW) == {}


async def test_redis_may_go_and_come_back(new_gateway: NewGateway, server: RedisServer, gauges: Gauges) -> None:
    """Meanwhile nothing is known, nobody waits, the metric says so; afterwards keys are shared again."""
    keys = await new_gateway()
    server.kill()
    assert await keys.body_hashes(KEYS, 100) == {}
    assert gauges.said[Gauge.SHARED_KEYS_DOWN] == 1
    began = time.monotonic()
    for _ in range(100):
        assert await keys.body_hashes(KEYS, 100) == {}
    assert time.monotonic() - began < PATIENCE
    keys.remember(KEYS[:2], BODIES[:2], 100)
    server.start()
    deadline = time.monotonic() + PATIENCE
    while not await keys.body_hashes(KEYS, 100) and time.monotonic() < deadline:
        keys.remember(KEYS, BODIES, 100)
        await asyncio.sleep(0.05)
    assert len(await known(keys, 3)) == 3
    assert gauges.said[Gauge.SHARED_KEYS_DOWN] == 0


async def test_two_gateways_tell_duplicates_and_conflicts_of_each_other(new_gateway: NewGateway) -> None:
    """A retry that reaches the other gateway is told what it is, and stored once."""
    one, other = await new_gateway(), await new_gateway()
    log = FakeLog()
    async with intake_over(log, one) as first, intake_over(log, other) as second:
        accepted = await first.submit(post(batch(event("k1"), event("k2"))))
        digests = as_halves(b"".join(key_hash("acme_live", key) for key in ("k1", "k2")))
        await known(other, 2, now=2**50, asked=digests)
        outcome = await second.submit(post(batch(event("k1"), event("k2", customer_id="another"), event("k3"))))
    assert (accepted.accepted, accepted.duplicates) == (2, 0)
    assert (outcome.accepted, outcome.duplicates, len(outcome.rejections)) == (1, 1, 1)
    assert [row["idempotency_key"] for row in log.rows()] == ["k1", "k2", "k3"]


async def test_what_the_log_refused_is_never_shared(new_gateway: NewGateway) -> None:
    """A key written before the log has it would turn a retry into a loss."""
    one, other = await new_gateway(), await new_gateway()
    log = FakeLog(fails=lambda number: number == 0)
    async with intake_over(log, one) as intake:
        with pytest.raises(Exception, match="could not be stored"):
            await intake.submit(post(batch(event("k1"))))
        one.remember(KEYS[:1], BODIES[:1], 100)  # Whatever was said before this is written before it.
        await known(other, 1)
        digest = as_halves(key_hash("acme_live", "k1"))
        assert await other.body_hashes(digest, 2**50) == {}
        assert (await intake.submit(post(batch(event("k1"))))).accepted == 1


@pytest.mark.parametrize("redis", [True, False])
async def test_without_redis_nothing_is_known_and_nothing_fails(redis: bool) -> None:
    """Neither where none is named, nor where the one that is named does not answer: which is told in a metric."""
    runtime = Runtime(clock=lambda: 0, logger=NullLogger(), metrics=PrometheusMetrics())
    url = f"redis://127.0.0.1:{free_port()}/0" if redis else None
    async with open_key_hints(url, runtime) as known:
        known.remember(NULL_KEY, np.zeros(1, np.uint64), 0)
        assert await known.body_hashes(NULL_KEY, 0) == {}
    assert (b"tallyhouse_shared_keys_down 1.0" in runtime.metrics.render()) is redis
