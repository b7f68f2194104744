"""The demo's load: one supply of events for several gateways, and the proof that all of it was counted."""

import asyncio
import time
from collections.abc import Sequence

from schemas.ids import base36
from tallyhouse.cli.client import Api
from tallyhouse.cluster.startup import now
from tallyhouse.load.client import Client, Plan
from tallyhouse.load.expected_usage import Truth
from tallyhouse.load.post_generator import Supply
from tallyhouse.load.proof import MeterProof, prepare_meters, prove, wait_until_counted
from tallyhouse.load.target import parse_target
from tallyhouse.load.workload import Shape, Workload

PATIENCE = 180.0

_BATCH = 500
_CONNECTIONS = 4
"""To each gateway."""


class DemoLoad:
    """Each event goes to whichever gateway is free; those that are sent twice, often to the other one."""

    def __init__(self, gateways: Sequence[str], key: str, events: int, seconds: float) -> None:
        shape = Shape()
        self._run = base36(now() // 1000, 8)[-8:]
        self._truth = Truth(shape)
        self._gateway, self._key = gateways[0], key
        self._began = now()
        supply = Supply(Workload(shape, self._run), self._truth, batch=_BATCH, now=now, events=events)
        targets = [parse_target(url, key) for url in gateways]
        plan = Plan(connections=_CONNECTIONS * len(targets), rate=events / seconds, patience=PATIENCE)
        self._client = Client(targets, supply, plan, time.monotonic)

    @property
    def acked(self) -> int:
        """Events answered `accepted` or `duplicate` so far."""
        return self._client.tally.acked

    @property
    def retries(self) -> int:
        """Posts that had to be sent again."""
        return self._client.tally.retries

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
            wait_until_counted(api, clock=time.monotonic, pause=time.sleep, patience=PATIENCE)
            return prove(api, self._truth, self._run, start=self._began, end=now())

    def _api(self) -> Api:
        return Api(self._gateway, self._key)
