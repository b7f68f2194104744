"""A worker that was presumed dead continues beside its successor: no event is lost or counted twice."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.frame import NewFrame, encode
from schemas.metrics import Histogram, NullMetrics
from schemas.timestamps import DAY
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.expiry import Expiry, ExpiryPorts
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.embedded_worker import EmbeddedWorker
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff
from tests.conftest import Databases
from tests.factories import NOW, Event, make_batch, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import PARTITIONS, ChangingMeters, partition_of_event

pytestmark = pytest.mark.anyio

DEADLINE = 60.0
POSTS = 60
POST = 10
POLICY = WorkerPolicy(flush_linger=0, poll_seconds=0.02, backfill_rest_ratio=0.0)
TOTALS = "SELECT meter, sum(sum), sum(count) FROM usage WHERE meter != '' GROUP BY meter ORDER BY meter"
STORED = "SELECT count(), uniqExact(idempotency_key) FROM events"
CLAIMED = "SELECT count() FROM flushes WHERE kind = 'claim'"
TWICE = "SELECT p, n, kind, count() FROM flushes GROUP BY p, n, kind HAVING count() > 1"


class FlushCount(NullMetrics):
    """How many flushes the workers completed together."""

    def __init__(self) -> None:
        self.number = 0

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        self.number += metric is Histogram.FLUSH_EVENTS


class StoreOfManyWorkers:
    """One log and one store, on which any number of workers count."""

    def __init__(self, log: SqliteFrameLog, sql: AsyncSqlClient) -> None:
        self.log = log
        self.sql = sql
        self.meters = ChangingMeters()
        self._store = EmbeddedStore(SqlEngine(sql))
        self.flushes = FlushCount()

    def worker(self) -> EmbeddedWorker:
        """A worker that remembers nothing and assumes that it is alone."""
        store, log, meters = self._store, self.log, self.meters
        ports = FlushPorts(
            log=log,
            claims=store,
            tables=store,
            seen=store,
            meters=meters,
            pause=exponential_backoff,
            metrics=self.flushes,
        )
        # Two frames a flush at most: many flushes, and a rival at each.
        policy = FlushPolicy(filter_keys=1000, max_bytes=2000)
        drivers = [
            PartitionDriver(Partition(number, ports, policy), log, POLICY, clock=lambda: NOW)
            for number in range(PARTITIONS)
        ]
        backfill = Backfill(BackfillPorts(meters=meters, history=store, tables=store), PARTITIONS)
        expiring = ExpiryPorts(
            log=log, tail=log, claims=store, seen=SqlSeenMonths(self.sql), clock=lambda: NOW + 1_000 * DAY
        )
        expiry = Expiry(expiring, PARTITIONS)
        return EmbeddedWorker(drivers, BackfillDriver(backfill, POLICY), ExpiryDriver(expiry, POLICY), POLICY)

    async def post(self, events: list[Event], arrival: int) -> None:
        for number in range(PARTITIONS):
            chosen = [event for event in events if partition_of_event(event) == number]
            if chosen:
                payload = encode(make_batch(chosen))
                await self.log.append([NewFrame(partition=number, arrival=arrival, payload=payload)])

    async def totals(self) -> list[tuple[object, ...]]:
        return [tuple(row) for row in await self.sql.rows(TOTALS)]


@pytest.mark.long
async def test_a_zombie_beside_its_successor_changes_nothing(
    tmp_path: Path, databases: Databases, threads: ThreadPoolExecutor
) -> None:
    """Two workers own the same partitions while events, retries and a new meter arrive: all totals are exact."""
    events = [make_event(f"key_{number}", {"tokens": "0.1"}) for number in range(POSTS * POST)]
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        shared = StoreOfManyWorkers(log, AsyncSqlClient(databases(), threads))
        shared.meters.add(make_meter("requests"))
        workers = [shared.worker(), shared.worker()]
        for worker in workers:
            worker.start()
        for place in range(0, len(events), POST):
            if place == len(events) // 2:
                shared.meters.add(make_meter("tokens", "sum"))
            # Every post carries the one before it again: a retry.
            await shared.post(events[max(place - POST, 0) : place + POST], NOW + place)
        wanted = [("requests", Decimal(0), len(events)), ("tokens", len(events) * Decimal("0.1"), len(events))]
        deadline = time.monotonic() + DEADLINE
        while await shared.totals() != wanted:
            assert time.monotonic() < deadline, await shared.totals()
            await asyncio.sleep(0.05)
        assert all(worker.is_healthy for worker in workers)
        for worker in workers:
            await asyncio.to_thread(worker.stop)
        assert await shared.totals() == wanted
        assert [tuple(row) for row in await shared.sql.rows(STORED)] == [(len(events), len(events))]
        assert list(await shared.sql.rows(TWICE)) == []
        ((claimed,),) = await shared.sql.rows(CLAIMED)
        assert shared.flushes.number > claimed, "they never worked at the same flush"
