"""The guarantee of a verdict: `accepted` counts once; a repeat is reported only if its key is known to be durable."""

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from ingest_gateway.ingest.batch import BatchOutcome
from ingest_gateway.ingest.duplicate_lookup import FilteredKeyHints
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from ingest_gateway.ingest.recent_keys import RecentKeys
from schemas.errors import StoreFailed
from schemas.event import RejectCode
from schemas.flush import SeenRows, Table
from schemas.hashing import KeyHashes
from schemas.metrics import Counter
from schemas.timestamps import DAY, to_micros
from tallyhouse.runtime.prometheus import PREFIX, PrometheusMetrics
from tests.clock import NOON
from tests.ingest_gateway.ingest.doubles import WINDOW
from tests.ingest_gateway.ingest.examples import batch, event, post
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline

FIRST = batch(event("a"), event("b"))
REPEAT = batch(event("a"), event("b", customer_id="another"), event("c"))
"""One duplicate, one conflict, one new event."""
NEVER = 0.01
"""Seconds: a lookup that does not answer at all times out, however fast or slow the machine."""
ALWAYS = 30.0


class SuspectAll:
    """A key filter that sends every key to the store."""

    def may_contain(self, keys: KeyHashes) -> npt.NDArray[np.bool_]:
        return np.ones(len(keys), np.bool_)

    def add(self, keys: KeyHashes, arrival: int) -> None:
        """Changes nothing."""


class ControlledSeenKeys:
    """The pipeline's seen keys, whose lookups answer, fail or hang."""

    def __init__(self, pipeline: InMemoryPipeline) -> None:
        self._store = pipeline.store
        self.hangs = False
        self.fails = False

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise StoreFailed("the store is down")
        return await self._store.find(partition, below, key_hashes)


class Gateways:
    """Gateways without recent keys in common, before one processor; all in memory."""

    def __init__(self) -> None:
        self.pipeline = InMemoryPipeline()
        self.seen = ControlledSeenKeys(self.pipeline)
        self.metrics = PrometheusMetrics()

    def new_gateway(self, timeout_seconds: float, now: int | None = None) -> Intake:
        known = FilteredKeyHints(SuspectAll(), self.seen, PARTITIONS, self.metrics, WINDOW)
        policy = IntakePolicy(partitions=PARTITIONS, lookup_timeout_seconds=timeout_seconds)
        recent = RecentKeys(2**8, WINDOW)
        return Intake(self.pipeline.log, known, recent, lambda: now or to_micros(NOON), policy, self.metrics)

    async def submit_to_new_gateway(self, body: bytes, timeout_seconds: float) -> BatchOutcome:
        async with self.new_gateway(timeout_seconds) as intake:
            return await intake.submit(post(body))

    async def count_everything(self) -> None:
        for number in range(PARTITIONS):
            partition = self.pipeline.partition(number)
            await partition.boot()
            while await partition.step():
                pass

    def counted(self) -> list[tuple[str, str]]:
        rows = self.pipeline.engine.rows(Table.EVENTS).to_pylist()
        return sorted((row["idempotency_key"], row["customer_id"]) for row in rows)

    def unchecked(self, reason: str) -> float:
        name = f'{PREFIX}{Counter.UNCHECKED.value.name}{{reason="{reason}"}}'
        lines = self.metrics.render().decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(name))


def test_a_lookup_that_answers_tells_repeats_apart() -> None:
    """The gateway then knows that the keys are durable: duplicate, conflict, accepted; nothing is unchecked."""

    async def story() -> None:
        gateways = Gateways()
        await gateways.submit_to_new_gateway(FIRST, ALWAYS)
        await gateways.count_everything()
        outcome = await gateways.submit_to_new_gateway(REPEAT, ALWAYS)
        assert (outcome.accepted, outcome.duplicates) == (1, 1)
        assert [(each.index, each.code) for each in outcome.rejections] == [(1, RejectCode.CONFLICT)]
        await gateways.count_everything()
        assert gateways.counted() == [("a", "cust_1"), ("b", "cust_1"), ("c", "cust_1")]
        assert gateways.pipeline.rejects == []
        assert gateways.unchecked("timeout") == gateways.unchecked("failed") == 0

    asyncio.run(story())


@pytest.mark.parametrize("reason", ["timeout", "failed"])
def test_without_a_lookup_events_are_accepted_and_each_key_counts_once(reason: str) -> None:
    """The metric counts every such event; the processor drops the duplicate and keeps the conflict as a reject."""

    async def story() -> None:
        gateways = Gateways()
        await gateways.submit_to_new_gateway(FIRST, ALWAYS)
        await gateways.count_everything()
        gateways.seen.hangs, gateways.seen.fails = reason == "timeout", reason == "failed"
        outcome = await gateways.submit_to_new_gateway(REPEAT, NEVER)
        assert outcome == BatchOutcome(accepted=3, duplicates=0, rejections=())
        assert gateways.unchecked(reason) == 3
        await gateways.count_everything()
        assert gateways.counted() == [("a", "cust_1"), ("b", "cust_1"), ("c", "cust_1")]
        rejects = [(each.idempotency_key, each.customer_id, each.code) for each in gateways.pipeline.rejects]
        assert rejects == [("b", "another", RejectCode.CONFLICT)]

    asyncio.run(story())


def test_a_gateway_knows_what_it_made_durable_itself() -> None:
    """Its recent keys answer without a lookup, also while the store hangs; the metric counts only the new key."""

    async def story() -> None:
        gateways = Gateways()
        gateways.seen.hangs = True
        async with gateways.new_gateway(NEVER) as intake:
            assert (await intake.submit(post(FIRST))).accepted == 2
            assert gateways.unchecked("timeout") == 2
            outcome = await intake.submit(post(REPEAT))
        assert (outcome.accepted, outcome.duplicates) == (1, 1)
        assert [(each.index, each.code) for each in outcome.rejections] == [(1, RejectCode.CONFLICT)]
        assert gateways.unchecked("timeout") == 3

    asyncio.run(story())


def test_of_keys_older_than_its_window_a_gateway_claims_nothing() -> None:
    """With the backfill scope: a repeat after 40 days is `accepted`, for the gateway cannot see its key any more.

    The metric counts it as unchecked. The processor finds the key among all events: it counts once, and another body
    becomes a reject.
    """
    first = batch(event("a", timestamp="2026-01-01T00:00:00Z"), event("b", timestamp="2026-01-01T00:00:00Z"))
    repeat = batch(
        event("a", timestamp="2026-01-01T00:00:00Z"),
        event("b", timestamp="2026-01-01T00:00:00Z", customer_id="another"),
    )

    async def story() -> None:
        gateways = Gateways()
        async with gateways.new_gateway(ALWAYS) as intake:
            assert (await intake.submit(post(first, backfill=True))).accepted == 2
        await gateways.count_everything()
        async with gateways.new_gateway(ALWAYS) as intake:
            outcome = await intake.submit(post(repeat, backfill=True))
            assert (outcome.accepted, outcome.duplicates, len(outcome.rejections)) == (0, 1, 1)
        async with gateways.new_gateway(ALWAYS, to_micros(NOON) + 40 * DAY) as intake:
            outcome = await intake.submit(post(repeat, backfill=True))
            assert outcome == BatchOutcome(accepted=2, duplicates=0, rejections=())
        assert gateways.unchecked("window") == 4
        await gateways.count_everything()
        assert gateways.counted() == [("a", "cust_1"), ("b", "cust_1")]
        assert [(each.idempotency_key, each.code) for each in gateways.pipeline.rejects] == [("b", RejectCode.CONFLICT)]

    asyncio.run(story())
