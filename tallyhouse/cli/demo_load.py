"""The demo's load: one supply of events for several gateways, and the proof that all of it was counted."""

import asyncio
import time
from collections.abc import Sequence

from schemas.ids import base36
from tallyhouse.cli.client import ApiClient
from tallyhouse.cluster.startup import now
from tallyhouse.load.client import DeliveryOptions, LoadClient
from tallyhouse.load.expected_usage import ExpectedUsage
from tallyhouse.load.post_generator import PostGenerator
from tallyhouse.load.proof import MeterProof, prepare_meters, prove, wait_until_counted
from tallyhouse.load.target import parse_target
from tallyhouse.load.workload import Workload, WorkloadShape

TIMEOUT_SECONDS = 180.0

_BATCH = 500
_CONNECTIONS = 4
"""To each gateway."""


class DemoLoad:
    """Each event goes to whichever gateway is free; those that are sent twice, often to the other one."""

    def __init__(self, gateways: Sequence[str], key: str, events: int, seconds: float) -> None:
        shape = WorkloadShape()
        self._run = base36(now() // 1000, 8)[-8:]
        self._expected_usage = ExpectedUsage(shape)
        self._gateway, self._key = gateways[0], key
        self._began = now()
        generator = PostGenerator(
            Workload(shape, self._run), self._expected_usage, batch=_BATCH, now=now, events=events
        )
        targets = [parse_target(url, key) for url in gateways]
        options = DeliveryOptions(
            connections=_CONNECTIONS * len(targets), rate=events / seconds, timeout=TIMEOUT_SECONDS
        )
        self._client = LoadClient(targets, generator, options, time.monotonic)

    @property
    def acked(self) -> int:
        """Events answered `accepted` or `duplicate` so far."""
        return self._client.stats.acked

    @property
    def retries(self) -> int:
        """Posts that had to be sent again."""
        return self._client.stats.retries

    async def prepare(self) -> None:
        """Make the meters."""
        with self._api() as api:
            await asyncio.to_thread(prepare_meters, api)

    async def send(self) -> None:
        """All of it; returns when all is acknowledged."""
        await self._client.run()

    async def prove(self) -> tuple[MeterProof, ...]:
        """Once all is counted: every customer's value of every meter."""
        return await asyncio.to_thread(self._prove)

    def _prove(self) -> tuple[MeterProof, ...]:
        with self._api() as api:
            wait_until_counted(api, clock=time.monotonic, pause=time.sleep, timeout=TIMEOUT_SECONDS)
            return prove(api, self._expected_usage, self._run, start=self._began, end=now())

    def _api(self) -> ApiClient:
        return ApiClient(self._gateway, self._key)
