"""A flush that the store keeps refusing is retried without end, and reported."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest
from msgspec.structs import replace

from ingest_gateway.api.health import Health
from ingest_gateway.http.errors import NotReady
from schemas.errors import StoreFailed
from schemas.flush import ApplyOutcome, PartitionStatus, Table
from schemas.logger import NullLogger
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.engine import Engine
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.embedded_worker import EmbeddedWorker
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy
from tallyhouse.embedded.worker_runtime import Processors
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tests.factories import NOW, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline
from tests.tallyhouse.embedded.processor_check import check_of

pytestmark = pytest.mark.anyio

DEADLINE = 20.0
POLICY = WorkerPolicy(flush_linger=0, poll_seconds=0.01, report_seconds=0.01, stop_seconds=0.05)


class RefusingStore(EmbeddedStore):
    """Refuses the usage of partition 0 with `error`, until that is None."""

    def __init__(self, engine: Engine, error: Exception) -> None:
        super().__init__(engine)
        self.error: Exception | None = error
        self.refused = 0

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        if self.error is not None and (table, partition) == (Table.USAGE, 0):
            self.refused += 1
            raise self.error
        return await super().apply(table, partition, number, rows, piece, after)


class LogLines(NullLogger):
    """Records the lines of the levels error and info."""

    def __init__(self) -> None:
        self.logged: list[tuple[str, str]] = []

    def error(self, event: str, **fields: object) -> None:
        self.logged.append((event, str(fields.get("failure"))))

    def info(self, event: str, **fields: object) -> None:
        self.logged.append((event, ""))


async def short_pause(_attempt: int) -> None:
    await asyncio.sleep(0.001)


@contextmanager
def working(
    pipeline: InMemoryPipeline,
    store: RefusingStore,
    metrics: PrometheusMetrics,
    lines: LogLines,
    policy: WorkerPolicy = POLICY,
) -> Iterator[EmbeddedWorker]:
    ports = FlushPorts(
        log=pipeline.log, claims=store, tables=store, seen=store, meters=pipeline.meters, pause=short_pause
    )
    drivers = [
        PartitionDriver(
            Partition(number, ports, FlushPolicy(filter_keys=1000)),
            pipeline.log,
            policy,
            clock=lambda: NOW,
            logger=lines,
            metrics=metrics,
            pause=short_pause,
        )
        for number in range(PARTITIONS)
    ]
    worker = EmbeddedWorker(
        drivers, BackfillDriver(pipeline.backfill(), policy), ExpiryDriver(pipeline.expiry(), policy), policy
    )
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


async def status_of(worker: EmbeddedWorker, expected: Callable[[PartitionStatus], bool]) -> PartitionStatus:
    """The status of partition 0, once it is as expected."""
    deadline = time.monotonic() + DEADLINE
    while not expected(status := (await worker.partitions())[0]):
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.002)
    return status


async def shown(metrics: PrometheusMetrics, line: str) -> None:
    """Waits until the metrics page has this line."""
    deadline = time.monotonic() + DEADLINE
    while line not in metrics.render().decode().splitlines():
        assert time.monotonic() < deadline, f"{line} did not appear"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (
            StoreFailed("the disk is full"),
            "at the step 'usage' with StoreFailed: the disk is full",
        ),
        (ValueError("the row 'secret'"), "at the step 'flush' with ValueError (the logs have its text)"),
    ],
)
async def test_a_refused_flush_is_stuck_until_it_succeeds(error: Exception, logged: str) -> None:
    """Status, readiness, metrics and log report it, retries continue, and once the store works all is counted."""
    pipeline, metrics, lines = InMemoryPipeline(), PrometheusMetrics(), LogLines()
    pipeline.meters.add(make_meter("tokens", "sum"))
    store = RefusingStore(pipeline.engine, error)
    await pipeline.post([make_event(f"key_{number}", {"tokens": number}) for number in range(20)], NOW)
    with working(pipeline, store, metrics, lines) as worker:
        ready = Health({"processors": check_of(Processors(worker, is_enabled=True))}, NullLogger())
        status = await status_of(worker, lambda status: status.state.startswith("stuck: "))
        assert status.state.startswith("stuck: flush 0 (frames 0 to 0) has been failing")
        assert logged in status.state
        assert "secret" not in status.state
        assert "A partition is stuck" in status.state
        assert not worker.is_healthy
        with pytest.raises(NotReady, match="processors"):
            await ready.ready("req_1")
        await shown(metrics, 'tallyhouse_partition_stuck{partition="0"} 1.0')
        await shown(metrics, 'tallyhouse_partition_stuck{partition="1"} 0.0')
        refused = store.refused
        await status_of(worker, lambda _: store.refused > refused + 5)
        store.error = None
        await status_of(worker, lambda status: status.state == "counting" and status.lag_frames == 0)
        assert worker.is_healthy
        assert (await ready.ready("req_2")).status == 200
        await shown(metrics, 'tallyhouse_partition_stuck{partition="0"} 0.0')
        await status_of(worker, lambda _: len(lines.logged) > 1)
    assert [event for event, _ in lines.logged] == [
        "partition stuck: an operator must act",
        "partition is no longer stuck",
    ]
    assert logged in lines.logged[0][1]
    pipeline.assert_exact()


async def test_a_few_failures_in_a_short_time_are_not_reported() -> None:
    """Stores need a retry now and then. After a while the flush is stuck, whatever the number of attempts."""
    pipeline, metrics, lines = InMemoryPipeline(), PrometheusMetrics(), LogLines()
    store = RefusingStore(pipeline.engine, StoreFailed("no answer"))
    pipeline.meters.add(make_meter())
    await pipeline.post([make_event(f"key_{number}") for number in range(20)], NOW)
    many_attempts = replace(POLICY, stuck_attempts=10**9)
    with working(pipeline, store, metrics, lines, many_attempts) as worker:
        await status_of(worker, lambda status: store.refused > 20 and status.state == "retrying")
        assert worker.is_healthy
    short_time = replace(many_attempts, stuck_seconds=0.01)
    with working(pipeline, store, metrics, lines, short_time) as worker:
        await status_of(worker, lambda status: status.state.startswith("stuck: "))


async def test_an_alarm_shows_in_the_metrics_too() -> None:
    """A stopped partition is not stuck: it does not continue by itself."""
    pipeline, metrics, lines = InMemoryPipeline(), PrometheusMetrics(), LogLines()
    store = RefusingStore(pipeline.engine, StoreFailed("never called"))
    await pipeline.post([make_event(f"key_{number}") for number in range(20)], NOW)
    await pipeline.log.acknowledge(0, 0)
    with working(pipeline, store, metrics, lines) as worker:
        await status_of(worker, lambda status: status.state.startswith("stopped: "))
        await shown(metrics, 'tallyhouse_partition_stopped{partition="0"} 1.0')
        await shown(metrics, 'tallyhouse_partition_stuck{partition="0"} 0.0')
