"""Brokers that cannot be reached, by silence or by death: refusals at once, no growth, and nothing to restart."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from stream_processors.backends.log.kafka.policy import KafkaPolicy
from tallyhouse.local.kafka_broker import KafkaBroker
from tests.e2e.client_flood import Attack, Kind
from tests.server_process import PATIENCE, Api, wait_until
from tests.tallyhouse.cluster.installation import Installation, Program, is_ready

KINDS = [Kind(clients=30, events=1, padding=40), Kind(clients=10, events=200, padding=200)]
REST = 0.5
"""Seconds a client waits after it was sent away."""
LONGEST = 10.0
"""No answer takes longer: an append is given up after 5 s, and then a machine that is busy may take its time."""
SETTLED = 6.0
"""Seconds after which the gateway surely knows that nobody answers: from then on nobody waits for an append."""
QUICKLY = 1.0
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


class Seen(NamedTuple):
    """One outage as it went."""

    began: float
    ended: float
    resident: Sequence[int]
    """Memory of the gateway after it had settled, look by look."""
    was_ready: Sequence[bool]


@pytest.fixture
def broker_address(mortal_broker: KafkaBroker) -> str:
    return mortal_broker.bootstrap


@pytest.mark.slow
def test_brokers_that_are_away_cost_refusals_and_nothing_else(
    installation: Installation, mortal_broker: KafkaBroker
) -> None:
    """A minute of silence, then a death, under forty clients: the same processes take in and count all of it."""
    installation.prepare()
    with installation.gateway() as gateway, installation.worker() as worker, Api(gateway.url) as api:
        api.make_meter("requests")
        pids = gateway.pid, worker.pid
        attack = Attack(gateway.url, rest=REST)

        def outages() -> Sequence[Seen]:
            return [go_through(outage, mortal_broker, gateway, api, attack) for outage in (SILENT, DEAD)]

        for seen in asyncio.run(attacked(attack, outages)):
            check(seen, attack)
        assert attack.failures == {}
        api.wait_until_counted()
        assert api.total("requests") == attack.acked
        assert "gone" not in {event["customer_id"] for event in api.events()}
        assert (gateway.is_running, worker.is_running) == (True, True)
        assert (gateway.pid, worker.pid) == pids


async def attacked(attack: Attack, work: Callable[[], Sequence[Seen]]) -> Sequence[Seen]:
    """What comes of the work, with clients posting all the time; then each of them delivers what it has."""
    stop = asyncio.Event()
    running = asyncio.create_task(attack.run(KINDS, stop))
    try:
        return await asyncio.to_thread(work)
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)


def go_through(outage: Outage, broker: KafkaBroker, gateway: Program, api: Api, attack: Attack) -> Seen:
    """From the middle of good times into the outage and out of it."""
    wait_for_acks(attack)
    outage.begin(broker)
    began = time.monotonic()
    time.sleep(SETTLED)
    acked, resident, was_ready = attack.acked, [gateway.resident], [is_ready(gateway.url)]
    refuse_one(api)
    while time.monotonic() < began + outage.seconds:
        time.sleep(1)
        resident.append(gateway.resident)
        was_ready.append(is_ready(gateway.url))
    assert attack.acked == acked
    ended = time.monotonic()
    outage.end(broker)
    wait_for_acks(attack)
    wait_until("the gateway to be ready again", lambda: is_ready(gateway.url))
    return Seen(began, ended, resident, was_ready)


def wait_for_acks(attack: Attack) -> None:
    before = attack.acked
    wait_until("events to be taken in", lambda: attack.acked > before + 100)


def refuse_one(api: Api) -> None:
    """An event whose producer does not come again."""
    event = {
        "event_name": "api.request",
        "idempotency_key": "given up",
        "customer_id": "gone",
        "timestamp": datetime.now(UTC).isoformat(),
        "properties": {},
    }
    assert api.client.post("/v1/events/ingest", json=event).status_code == 503


def check(seen: Seen, attack: Attack) -> None:
    """Whoever comes is told at once, as any client can understand; meanwhile nothing piles up."""
    assert {(said.status, said.code) for said in attack.refused} == {(503, "UNAVAILABLE")}
    assert all(said.retry_after >= 1 for said in attack.refused)
    assert max(said.seconds for said in attack.refused) < LONGEST
    waits = sorted(
        said.seconds
        for said in attack.refused
        if said.at - said.seconds > seen.began + SETTLED and said.at < seen.ended
    )
    usual, late = waits[len(waits) // 2], waits[-max(1, len(waits) // 100)]
    growth = max(seen.resident) - seen.resident[0]
    print(f"{len(waits)} sent away, half of them within {usual:.3f} s, 99 of 100 within {late:.3f} s")
    print(f"memory grew by {growth:,} bytes from {seen.resident[0]:,}")
    assert len(waits) > (seen.ended - seen.began - SETTLED) * 10
    assert usual < QUICKLY
    assert late < APPEND_SECONDS
    assert growth < GROWTH
    assert not any(seen.was_ready)
