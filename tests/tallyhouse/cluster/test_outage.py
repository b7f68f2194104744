"""Unreachable brokers, silent or dead: posts are refused, memory stays bounded, no process needs a restart."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from ingest_gateway.ingest.intake_queue import IntakePolicy
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from tests.backing_services.kafka import PausableKafkaBroker
from tests.e2e.client_flood import ClientFlood, ClientKind
from tests.server_process import PATIENCE, GatewayClient, wait_until
from tests.tallyhouse.cluster.installation import ClusterProcess, Installation, is_ready

KINDS = [ClientKind(clients=30, events=1, padding=40), ClientKind(clients=10, events=200, padding=200)]
REST = 0.5
"""Seconds a client waits after a refusal."""
SOAK_SECONDS = os.environ.get("SOAK_SECONDS")
"""How long the silence lasts under `make soak`, which also measures how fast refusals are: nothing else runs then."""
APPEND_SECONDS = KafkaPolicy().append_seconds
SLOWEST_REFUSAL = APPEND_SECONDS + IntakePolicy(partitions=1).answer_timeout_seconds
"""The gateway's own limit: an append times out, or the request that waits for one does."""
SETTLED_SECONDS = 6.0
"""After the gateway has noticed the outage: no request waits for an append any more."""
USUAL_REFUSAL = 1.0
MAX_GROWTH = 16_000_000
"""Bytes by which the gateway may grow while it refuses everything."""


class Outage(NamedTuple):
    """A way for the broker to be unreachable, and for how long once the gateway has noticed."""

    begin: Callable[[PausableKafkaBroker], None]
    end: Callable[[PausableKafkaBroker], None]
    seconds: float


SILENT = Outage(PausableKafkaBroker.pause, PausableKafkaBroker.resume, seconds=float(SOAK_SECONDS or 15))
DEAD = Outage(PausableKafkaBroker.kill, PausableKafkaBroker.start, seconds=15)


class OutageRecord(NamedTuple):
    """The observations of one outage, from the moment at which the gateway refuses every request at once."""

    settled: float
    ended: float
    resident_bytes: Sequence[int]
    """Samples of the gateway's memory."""
    was_ready: Sequence[bool]


@pytest.fixture
def broker_address(killable_broker: PausableKafkaBroker) -> str:
    return killable_broker.bootstrap


@pytest.mark.long
@pytest.mark.slow
def test_unreachable_brokers_cost_refusals_and_nothing_else(
    installation: Installation, killable_broker: PausableKafkaBroker
) -> None:
    """A silent broker, then a dead one, under forty clients: the same processes then accept and count everything."""
    installation.prepare()
    with installation.gateway() as gateway, installation.worker() as worker, GatewayClient(gateway.url) as api:
        api.make_meter("requests")
        pids = gateway.pid, worker.pid
        flood = ClientFlood(gateway.url, rest=REST)

        def outages() -> Sequence[OutageRecord]:
            return [observe(outage, killable_broker, gateway, api, flood) for outage in (SILENT, DEAD)]

        for record in asyncio.run(flood_during(flood, outages)):
            check(record, flood)
        assert flood.failures == {}
        api.wait_until_counted()
        assert api.total("requests") == flood.acked
        assert "gone" not in {event["customer_id"] for event in api.events()}
        assert (gateway.is_running, worker.is_running) == (True, True)
        assert (gateway.pid, worker.pid) == pids


async def flood_during(flood: ClientFlood, work: Callable[[], Sequence[OutageRecord]]) -> Sequence[OutageRecord]:
    """The result of the work, during which clients post; afterwards each client delivers its last body."""
    stop = asyncio.Event()
    running = asyncio.create_task(flood.run(KINDS, stop))
    try:
        return await asyncio.to_thread(work)
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)


def observe(
    outage: Outage, broker: PausableKafkaBroker, gateway: ClusterProcess, api: GatewayClient, flood: ClientFlood
) -> OutageRecord:
    wait_for_acks(flood)
    outage.begin(broker)
    wait_until("the gateway to notice the outage", lambda: not is_ready(gateway.url))
    time.sleep(SETTLED_SECONDS)
    settled = time.monotonic()
    acked, resident_bytes, was_ready = flood.acked, [gateway.resident_bytes], [is_ready(gateway.url)]
    post_one_refused(api)
    while time.monotonic() < settled + outage.seconds - SETTLED_SECONDS:
        time.sleep(1)
        resident_bytes.append(gateway.resident_bytes)
        was_ready.append(is_ready(gateway.url))
    assert flood.acked == acked
    ended = time.monotonic()
    outage.end(broker)
    wait_for_acks(flood)
    wait_until("the gateway to be ready again", lambda: is_ready(gateway.url))
    return OutageRecord(settled, ended, resident_bytes, was_ready)


def wait_for_acks(flood: ClientFlood) -> None:
    before = flood.acked
    wait_until("events to be accepted", lambda: flood.acked > before + 100)


def post_one_refused(api: GatewayClient) -> None:
    """An event that is refused and never retried must not count."""
    event = {
        "event_name": "api.request",
        "idempotency_key": "never retried",
        "customer_id": "gone",
        "timestamp": datetime.now(UTC).isoformat(),
        "properties": {},
    }
    assert api.client.post("/v1/events/ingest", json=event).status_code == 503


def check(record: OutageRecord, flood: ClientFlood) -> None:
    """Every refusal is a 503 with Retry-After within the gateway's limit, and nothing piles up meanwhile."""
    assert {(refusal.status, refusal.code) for refusal in flood.refused} == {(503, "UNAVAILABLE")}
    assert all(refusal.retry_after >= 1 for refusal in flood.refused)
    assert max(refusal.seconds for refusal in flood.refused) < SLOWEST_REFUSAL
    waits = sorted(
        refusal.seconds
        for refusal in flood.refused
        if refusal.at - refusal.seconds > record.settled and refusal.at < record.ended
    )
    assert waits
    usual, late = waits[len(waits) // 2], waits[-max(1, len(waits) // 100)]
    growth = max(record.resident_bytes) - record.resident_bytes[0]
    print(f"{len(waits)} refused, half of them within {usual:.3f} s, 99 of 100 within {late:.3f} s")
    print(f"memory grew by {growth:,} bytes from {record.resident_bytes[0]:,}")
    if SOAK_SECONDS:
        assert len(waits) > (record.ended - record.settled) * 10
        assert usual < USUAL_REFUSAL
        assert late < APPEND_SECONDS
    assert growth < MAX_GROWTH
    assert not any(record.was_ready)
