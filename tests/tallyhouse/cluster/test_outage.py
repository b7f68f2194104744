"""Brokers that cannot be reached, by silence or by death: refusals at once, no growth, and nothing to restart."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from stream_processors.backends.log.kafka.policy import KafkaPolicy
from tallyhouse.local.kafka_broker import KafkaBroker
from tests.e2e.client_flood import ClientFlood, ClientKind
from tests.server_process import PATIENCE, GatewayClient, wait_until
from tests.tallyhouse.cluster.installation import ClusterProcess, Installation, is_ready

KINDS = [ClientKind(clients=30, events=1, padding=40), ClientKind(clients=10, events=200, padding=200)]
REST = 0.5
"""Seconds a client waits after it was sent away."""
SLOWEST_REFUSAL = 10.0
"""No answer takes longer: an append is given up after 5 s, and then a machine that is busy may take its time."""
REFUSING_AFTER = 6.0
"""Seconds after which the gateway surely knows that nobody answers: from then on nobody waits for an append."""
REFUSED_WITHIN = 1.0
APPEND_SECONDS = KafkaPolicy().append_seconds
GROWTH = 16_000_000
"""Bytes by which the process may grow while it refuses everything, from the moment it has settled down to that."""


class Outage(NamedTuple):
    """A way for the broker to be away, for so long."""

    begin: Callable[[KafkaBroker], None]
    end: Callable[[KafkaBroker], None]
    seconds: float


SILENT = Outage(KafkaBroker.pause, KafkaBroker.resume, seconds=60)
DEAD = Outage(KafkaBroker.kill, KafkaBroker.start, seconds=15)


class OutageRecord(NamedTuple):
    """One outage as it went."""

    began: float
    ended: float
    resident_bytes: Sequence[int]
    """Memory of the gateway after it had settled, look by look."""
    was_ready: Sequence[bool]


@pytest.fixture
def broker_address(killable_broker: KafkaBroker) -> str:
    return killable_broker.bootstrap


@pytest.mark.slow
def test_brokers_that_are_away_cost_refusals_and_nothing_else(
    installation: Installation, killable_broker: KafkaBroker
) -> None:
    """A minute of silence, then a death, under forty clients: the same processes take in and count all of it."""
    installation.prepare()
    with installation.gateway() as gateway, installation.worker() as worker, GatewayClient(gateway.url) as api:
        api.make_meter("requests")
        pids = gateway.pid, worker.pid
        flood = ClientFlood(gateway.url, rest=REST)

        def outages() -> Sequence[OutageRecord]:
            return [go_through(outage, killable_broker, gateway, api, flood) for outage in (SILENT, DEAD)]

        for seen in asyncio.run(flooded_during(flood, outages)):
            check(seen, flood)
        assert flood.failures == {}
        api.wait_until_counted()
        assert api.total("requests") == flood.acked
        assert "gone" not in {event["customer_id"] for event in api.events()}
        assert (gateway.is_running, worker.is_running) == (True, True)
        assert (gateway.pid, worker.pid) == pids


async def flooded_during(flood: ClientFlood, work: Callable[[], Sequence[OutageRecord]]) -> Sequence[OutageRecord]:
    """What comes of the work, with clients posting all the time; then each of them delivers what it has."""
    stop = asyncio.Event()
    running = asyncio.create_task(flood.run(KINDS, stop))
    try:
        return await asyncio.to_thread(work)
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)


def go_through(
    outage: Outage, broker: KafkaBroker, gateway: ClusterProcess, api: GatewayClient, flood: ClientFlood
) -> OutageRecord:
    """From the middle of good times into the outage and out of it."""
    wait_for_acks(flood)
    outage.begin(broker)
    began = time.monotonic()
    time.sleep(REFUSING_AFTER)
    acked, resident_bytes, was_ready = flood.acked, [gateway.resident_bytes], [is_ready(gateway.url)]
    refuse_one(api)
    while time.monotonic() < began + outage.seconds:
        time.sleep(1)
        resident_bytes.append(gateway.resident_bytes)
        was_ready.append(is_ready(gateway.url))
    assert flood.acked == acked
    ended = time.monotonic()
    outage.end(broker)
    wait_for_acks(flood)
    wait_until("the gateway to be ready again", lambda: is_ready(gateway.url))
    return OutageRecord(began, ended, resident_bytes, was_ready)


def wait_for_acks(flood: ClientFlood) -> None:
    before = flood.acked
    wait_until("events to be taken in", lambda: flood.acked > before + 100)


def refuse_one(api: GatewayClient) -> None:
    """An event whose producer does not come again."""
    event = {
        "event_name": "api.request",
        "idempotency_key": "given up",
        "customer_id": "gone",
        "timestamp": datetime.now(UTC).isoformat(),
        "properties": {},
    }
    assert api.client.post("/v1/events/ingest", json=event).status_code == 503


def check(seen: OutageRecord, flood: ClientFlood) -> None:
    """Whoever comes is told at once, as any client can understand; meanwhile nothing piles up."""
    assert {(refusal.status, refusal.code) for refusal in flood.refused} == {(503, "UNAVAILABLE")}
    assert all(refusal.retry_after >= 1 for refusal in flood.refused)
    assert max(refusal.seconds for refusal in flood.refused) < SLOWEST_REFUSAL
    waits = sorted(
        refusal.seconds
        for refusal in flood.refused
        if refusal.at - refusal.seconds > seen.began + REFUSING_AFTER and refusal.at < seen.ended
    )
    usual, late = waits[len(waits) // 2], waits[-max(1, len(waits) // 100)]
    growth = max(seen.resident_bytes) - seen.resident_bytes[0]
    print(f"{len(waits)} sent away, half of them within {usual:.3f} s, 99 of 100 within {late:.3f} s")
    print(f"memory grew by {growth:,} bytes from {seen.resident_bytes[0]:,}")
    assert len(waits) > (seen.ended - seen.began - REFUSING_AFTER) * 10
    assert usual < REFUSED_WITHIN
    assert late < APPEND_SECONDS
    assert growth < GROWTH
    assert not any(seen.was_ready)
