"""A gateway of a cluster whose clock jumps: it accepts nothing until the clock is right, and moves no other gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from schemas.logger import NullLogger
from schemas.timestamps import DAY, MINUTE, to_iso
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from tallyhouse.cluster.gateway import open_gateway
from tallyhouse.runtime.clock import now
from tallyhouse.runtime.environment import read_cluster_settings
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.startup import Runtime
from tests.contracts.frame_log import everything
from tests.server_process import KEY
from tests.tallyhouse.cluster.installation import Installation

pytestmark = [pytest.mark.anyio, pytest.mark.long]


class MachineClock:
    """The right time, and how far this machine is off it."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return now() + self.ahead


@asynccontextmanager
async def gateway(installation: Installation, clock: MachineClock) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway of the installation in this process, on a machine with this clock."""
    environ = {f"TALLYHOUSE_{name}": value for name, value in installation.settings.items()}
    runtime = Runtime(clock=clock, logger=NullLogger(), metrics=PrometheusMetrics())
    async with open_gateway(read_cluster_settings(environ), runtime) as opened:
        headers = {"Authorization": f"Bearer {KEY}"}
        transport = httpx.ASGITransport(opened.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            yield client


async def post(client: httpx.AsyncClient, timestamp: int) -> int:
    event = {
        "event_name": "api.request",
        "idempotency_key": uuid4().hex,
        "customer_id": "c",
        "timestamp": to_iso(timestamp),
        "properties": {},
    }
    return (await client.post("/v1/events/ingest", json={"events": [event]})).status_code


async def readiness(client: httpx.AsyncClient) -> int:
    return (await client.get("/readyz")).status_code


@pytest.mark.parametrize("jump", [21 * DAY, -21 * DAY, 2 * MINUTE])
async def test_a_clock_that_jumps_accepts_nothing_and_moves_nobody(installation: Installation, jump: int) -> None:
    """Refused from the first post after the jump on; accepted as soon as the clock is right, and stamped rightly.

    So are the events of a second gateway.
    """
    installation.prepare()
    began = now()
    clock = MachineClock()
    async with gateway(installation, clock) as client:
        assert await readiness(client) == 200
        assert await post(client, now()) == 200
        clock.ahead = jump
        assert [await post(client, now()) for _ in range(3)] == [503] * 3
        assert await readiness(client) == 503
        assert await post(client, now()) == 503
        clock.ahead = 0
        assert await readiness(client) == 200
        assert await post(client, now()) == 200
        async with gateway(installation, MachineClock()) as other:
            assert await post(other, now()) == 200
    assert len(await arrivals(installation)) == 3
    assert all(began <= arrival <= now() for arrival in await arrivals(installation))


async def arrivals(installation: Installation) -> list[int]:
    """The arrivals of all frames in the log."""
    partitions = int(installation.settings["PARTITIONS"])
    cluster = KafkaCluster(servers=installation.settings["KAFKA_BROKERS"])
    async with KafkaFrameLog(cluster, installation.settings["KAFKA_TOPIC"], partitions) as log:
        frames = [frame for partition in range(partitions) for frame in await everything(log, partition)]
    return [frame.arrival for frame in frames]
