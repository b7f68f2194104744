"""The embedded worker on the real log and the real store, over restarts."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.frame import NewFrame, encode
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.embedded_worker import EmbeddedWorker, build_embedded_worker
from stream_processors.workers.policy import WorkerPolicy
from stream_processors.workers.wiring import WorkerDependencies, WorkerPolicies
from tests.conftest import Databases
from tests.factories import NOW, Event, make_batch, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import PARTITIONS, ChangingMeters, partition_of_event

pytestmark = pytest.mark.anyio

DEADLINE = 60.0
POLICY = WorkerPolicy(flush_linger=0, poll_seconds=0.02, backfill_rest_ratio=0.0)
TOTALS = "SELECT meter, sum(sum), sum(count) FROM usage WHERE meter != '' GROUP BY meter"


@pytest.fixture
def sql(databases: Databases, threads: ThreadPoolExecutor) -> AsyncSqlClient:
    return AsyncSqlClient(databases(), threads)


def worker_on(log: SqliteFrameLog, sql: AsyncSqlClient, meters: ChangingMeters) -> EmbeddedWorker:
    """A worker that remembers nothing, as after a start of the process."""
    dependencies = WorkerDependencies(
        log=log,
        store=EmbeddedStore(SqlEngine(sql)),
        months=SqlSeenMonths(sql),
        meters=meters,
        clock=lambda: NOW,
    )
    policies = WorkerPolicies(partitions=PARTITIONS, flush=FlushPolicy(filter_keys=1000), worker=POLICY)
    return build_embedded_worker(dependencies, policies)


async def post(log: SqliteFrameLog, events: list[Event], arrival: int) -> None:
    for number in range(PARTITIONS):
        chosen = [event for event in events if partition_of_event(event) == number]
        if chosen:
            await log.append([NewFrame(partition=number, arrival=arrival, payload=encode(make_batch(chosen)))])


async def test_restarts_and_late_meters_on_disk(tmp_path: Path, sql: AsyncSqlClient) -> None:
    """Over stops at any moment, posts, retries and a late meter, every meter counts each event once."""
    meters = ChangingMeters()
    meters.add(make_meter("requests"))
    events = [make_event(f"key_{number}", {"tokens": "0.1"}) for number in range(200)]
    for start in range(4):
        async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
            worker = worker_on(log, sql, meters)
            worker.start()
            for place in range(start * 50, start * 50 + 50, 5):
                # Every post repeats the events of the one before: a retry.
                await post(log, events[max(place - 5, 0) : place + 5], NOW + place)
            if start == 2:
                meters.add(make_meter("tokens", "sum"))
            await asyncio.to_thread(worker.stop)
    wanted = {("requests", Decimal(0), 200), ("tokens", Decimal(20), 200)}
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        worker = worker_on(log, sql, meters)
        worker.start()
        deadline = time.monotonic() + DEADLINE
        while {tuple(row) for row in await sql.rows(TOTALS)} != wanted:
            assert time.monotonic() < deadline, await sql.rows(TOTALS)
            await asyncio.sleep(0.05)
        await asyncio.to_thread(worker.stop)
    assert {tuple(row) for row in await sql.rows(TOTALS)} == wanted
