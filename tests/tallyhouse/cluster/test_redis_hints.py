"""Key hints shared through Redis: gateways recognise each other's keys, and exactness does not depend on Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress

import numpy as np
import pytest
import redis.asyncio

from ingest_gateway.ingest.intake_queue import IntakePolicy
from schemas.errors import StoreFailed
from schemas.hashing import KeyHashes, as_halves, key_hash
from schemas.logger import NullLogger
from schemas.metrics import Counter, Gauge, Histogram
from tallyhouse.cluster.gateway import open_key_hints
from tallyhouse.cluster.redis_hints import RedisHints
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.startup import Runtime
from tests.backing_services.redis import RedisServer, redis_server
from tests.ingest_gateway.ingest.doubles import PARTITIONS, WINDOW, FakeLog, intake_over
from tests.ingest_gateway.ingest.examples import batch, event, post
from tests.server_process import free_port

pytestmark = pytest.mark.anyio

DIGESTS = [key_hash("acct", name) for name in "abc"]
KEYS = as_halves(b"".join(DIGESTS))
NULL_KEY = as_halves(bytes(16))
BODIES = np.array([1, 2, 2**64 - 1], np.uint64)
PATIENCE = 180.0

NewGateway = Callable[[], Awaitable[RedisHints]]


class Gauges:
    """Keeps the last value of each gauge; ignores counters and histograms."""

    def __init__(self) -> None:
        self.values: dict[Gauge, float] = {}

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None: ...

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        self.values[metric] = value

    def observe(self, metric: Histogram, value: float, *labels: str) -> None: ...


class ManualTimer:
    """Seconds that pass only when a test lets them: a backoff lasts until then."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
async def server(running: RedisServer) -> RedisServer:
    """Empty, and running even if the last test killed it."""
    running.kill()
    running.start()
    return running


@pytest.fixture
def gauges() -> Gauges:
    return Gauges()


@pytest.fixture
def timer() -> ManualTimer:
    return ManualTimer()


@pytest.fixture
async def new_gateway(server: RedisServer, gauges: Gauges, timer: ManualTimer) -> AsyncIterator[NewGateway]:
    opened: list[RedisHints] = []

    async def new() -> RedisHints:
        client = redis.asyncio.Redis(unix_socket_path=str(server.socket))
        keys = RedisHints(client, WINDOW, timeout_seconds=PATIENCE, timer=timer, metrics=gauges, logger=NullLogger())
        opened.append(await keys.__aenter__())
        return keys

    yield new
    for keys in opened:
        await keys.__aexit__(None, None, None)


async def known(keys: RedisHints, expected: int, now: int = 100, queried: KeyHashes = KEYS) -> Mapping[bytes, int]:
    """The known keys as soon as there are `expected` of them; after PATIENCE seconds, however many there are."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = await keys.body_hashes(queried, now)
        if len(found) >= expected or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.01)


async def test_a_key_that_one_gateway_made_durable_is_known_to_another(new_gateway: NewGateway) -> None:
    """The body's hash tells a duplicate from a conflict."""
    one, other = await new_gateway(), await new_gateway()
    assert await other.body_hashes(KEYS, 100) == {}
    one.remember(KEYS, BODIES, 100)
    assert await known(other, 3) == dict(zip(DIGESTS, BODIES.tolist(), strict=True))


async def test_the_first_body_of_a_key_is_kept(new_gateway: NewGateway) -> None:
    """A second one is a conflict, as it is to the processor."""
    one, other = await new_gateway(), await new_gateway()
    one.remember(KEYS[:1], BODIES[:1], 100)
    await known(one, 1)
    other.remember(KEYS, BODIES[::-1].copy(), 101)
    assert (await known(one, 3))[DIGESTS[0]] == 1


async def test_a_key_outside_the_window_is_unknown(new_gateway: NewGateway) -> None:
    """The window is the processor's, which decides."""
    keys = await new_gateway()
    keys.remember(KEYS, BODIES, 100)
    assert len(await known(keys, 3, now=100 + WINDOW)) == 3
    assert await keys.body_hashes(KEYS, 101 + WINDOW) == {}


async def test_redis_may_go_and_come_back(
    new_gateway: NewGateway, server: RedisServer, gauges: Gauges, timer: ManualTimer
) -> None:
    """While it is down, lookups fail, and during a backoff they fail without a query; afterwards keys are shared."""
    keys = await new_gateway()
    server.kill()
    with pytest.raises(StoreFailed, match="does not answer"):
        await keys.body_hashes(KEYS, 100)
    assert gauges.values[Gauge.SHARED_KEYS_DOWN] == 1
    for _ in range(100):
        with pytest.raises(StoreFailed, match="a moment ago"):
            await keys.body_hashes(KEYS, 100)
    keys.remember(KEYS[:2], BODIES[:2], 100)
    server.start()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        timer.now += 1  # The writer may have failed meanwhile, which begins another backoff.
        keys.remember(KEYS, BODIES, 100)
        with suppress(StoreFailed):
            if await keys.body_hashes(KEYS, 100):
                break
        await asyncio.sleep(0.05)
    assert len(await known(keys, 3)) == 3
    assert gauges.values[Gauge.SHARED_KEYS_DOWN] == 0


async def test_a_gateway_recognises_repeats_of_events_posted_to_another(new_gateway: NewGateway) -> None:
    """A retry that reaches the other gateway is a duplicate or a conflict, and is stored once."""
    one, other = await new_gateway(), await new_gateway()
    log, policy = FakeLog(), IntakePolicy(partitions=PARTITIONS, lookup_timeout_seconds=PATIENCE)
    async with intake_over(log, one, policy) as first, intake_over(log, other, policy) as second:
        accepted = await first.submit(post(batch(event("k1"), event("k2"))))
        digests = as_halves(b"".join(key_hash("acme_live", key) for key in ("k1", "k2")))
        await known(other, 2, now=2**50, queried=digests)
        outcome = await second.submit(post(batch(event("k1"), event("k2", customer_id="another"), event("k3"))))
    assert (accepted.accepted, accepted.duplicates) == (2, 0)
    assert (outcome.accepted, outcome.duplicates, len(outcome.rejections)) == (1, 1, 1)
    assert [row["idempotency_key"] for row in log.rows()] == ["k1", "k2", "k3"]


async def test_an_event_that_the_log_refused_is_never_shared(new_gateway: NewGateway) -> None:
    """A key shared before the log has it would turn a retry into a loss."""
    one, other = await new_gateway(), await new_gateway()
    log = FakeLog(fails=lambda number: number == 0)
    async with intake_over(log, one) as intake:
        with pytest.raises(Exception, match="could not be stored"):
            await intake.submit(post(batch(event("k1"))))
        one.remember(KEYS[:1], BODIES[:1], 100)  # Keys are written in order: anything queued earlier is there too.
        await known(other, 1)
        digest = as_halves(key_hash("acme_live", "k1"))
        assert await other.body_hashes(digest, 2**50) == {}
        assert (await intake.submit(post(batch(event("k1"))))).accepted == 1


def new_runtime() -> Runtime:
    return Runtime(clock=lambda: 0, logger=NullLogger(), metrics=PrometheusMetrics())


async def test_without_a_redis_url_nothing_is_known() -> None:
    runtime = new_runtime()
    async with open_key_hints(None, runtime) as hints:
        hints.remember(NULL_KEY, np.zeros(1, np.uint64), 0)
        assert await hints.body_hashes(NULL_KEY, 0) == {}
    assert b"tallyhouse_shared_keys_down 1.0" not in runtime.metrics.render()


async def test_a_redis_that_does_not_answer_is_reported() -> None:
    """Opening succeeds, lookups fail, and a metric shows it."""
    runtime = new_runtime()
    async with open_key_hints(f"redis://127.0.0.1:{free_port()}/0", runtime) as hints:
        hints.remember(NULL_KEY, np.zeros(1, np.uint64), 0)
        with pytest.raises(StoreFailed):
            await hints.body_hashes(NULL_KEY, 0)
    assert b"tallyhouse_shared_keys_down 1.0" in runtime.metrics.render()
