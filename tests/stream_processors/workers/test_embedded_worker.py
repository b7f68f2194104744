"""The embedded worker counts everything once, over new meters, stops and alarms."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from schemas.flush import PartitionStatus
from schemas.frame import NewFrame
from stream_processors.flushing.retry import Attempts
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.embedded_worker import EmbeddedWorker
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy
from tests.factories import NOW, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline

pytestmark = pytest.mark.anyio

DEADLINE = 20.0
POLICY = WorkerPolicy(flush_linger=0, poll_seconds=0.01, report_seconds=0.01, stop_seconds=5.0)


@contextmanager
def working(pipeline: InMemoryPipeline) -> Iterator[EmbeddedWorker]:
    """A fresh worker, as after a start of the process."""
    drivers = [
        PartitionDriver(pipeline.partition(number), pipeline.log, POLICY, clock=lambda: NOW)
        for number in range(PARTITIONS)
    ]
    worker = EmbeddedWorker(
        drivers, BackfillDriver(pipeline.backfill(), POLICY), ExpiryDriver(pipeline.expiry(), POLICY), POLICY
    )
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        await asyncio.sleep(0.005)


async def counted(worker: EmbeddedWorker) -> None:
    """Waits until no partition has lag."""

    async def no_lag() -> bool:
        return all(_is_idle(status) for status in await worker.partitions())

    await until(no_lag)


def _is_idle(status: PartitionStatus) -> bool:
    return status.state == "counting" and status.lag_frames == 0


async def post(pipeline: InMemoryPipeline, first: int, count: int) -> None:
    for number in range(first, first + count):
        await pipeline.post([make_event(f"key_{number}", {"tokens": number})], NOW + number)
        await asyncio.sleep(0)


async def test_everything_is_counted_once_over_restarts() -> None:
    """Stops between and during posts change nothing; a stop is prompt; counted frames are deleted from the log."""
    pipeline = InMemoryPipeline()
    pipeline.meters.add(make_meter("tokens", "sum"))
    for start in range(4):
        with working(pipeline) as worker:
            await post(pipeline, 20 * start, 20)
            began = time.monotonic()
        assert time.monotonic() - began < 5.0
    with working(pipeline) as worker:
        await counted(worker)
        assert worker.is_healthy
    assert not worker.is_healthy
    pipeline.assert_exact()
    assert pipeline.log.held_bytes == 0


async def test_a_late_meter_counts_past_events_during_traffic() -> None:
    """A meter created between posts counts earlier ones too, also in an idle partition."""
    pipeline = InMemoryPipeline()
    pipeline.meters.add(make_meter("requests"))
    with working(pipeline) as worker:
        await post(pipeline, 0, 50)
        await counted(worker)
        pipeline.meters.add(make_meter("tokens", "sum"))
        await post(pipeline, 50, 30)

        async def complete() -> bool:
            total = {
                code: sum(v for key, v in pipeline.usage.items() if key[1] == code) for code in ("requests", "tokens")
            }
            return total == {"requests": 80, "tokens": sum(range(80))}

        await until(complete)
    pipeline.assert_exact()


async def test_an_alarm_stops_one_partition_only() -> None:
    """A partition without its next frames stops and reports it; the others continue."""
    pipeline = InMemoryPipeline()
    pipeline.meters.add(make_meter("requests"))
    await pipeline.log.append([NewFrame(partition=0, arrival=NOW, payload=b"never read")])
    await pipeline.log.acknowledge(0, 0)
    with working(pipeline) as worker:

        async def stopped() -> bool:
            return (await worker.partitions())[0].state.startswith("stopped: ")

        await until(stopped)
        assert "were never counted" in (await worker.partitions())[0].state
        assert not worker.is_healthy
        await post(pipeline, 0, 20)

        async def other_is_idle() -> bool:
            return _is_idle((await worker.partitions())[1])

        await until(other_is_idle)
        assert (await worker.partitions())[1].flush is not None


async def test_a_stop_before_the_start_has_no_effect() -> None:
    """A worker that never ran can be stopped."""
    pipeline = InMemoryPipeline()
    worker = EmbeddedWorker(
        [], BackfillDriver(pipeline.backfill(), POLICY), ExpiryDriver(pipeline.expiry(), POLICY), POLICY
    )
    worker.stop()
    assert not worker.is_healthy


class StuckSteps:
    """A partition whose flush never ends, as if the store hangs."""

    number = 0
    position = None

    def __init__(self) -> None:
        self.attempts = Attempts(time.monotonic)
        self.was_cancelled = False
        self.started = threading.Event()

    async def step(self) -> int:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return 0


async def test_a_stop_cancels_a_flush_that_hangs() -> None:
    """After the timeout the flush is cancelled; a redo at the next start is always safe."""
    pipeline, steps = InMemoryPipeline(), StuckSteps()
    policy = WorkerPolicy(stop_seconds=0.05)
    driver = PartitionDriver(steps, pipeline.log, policy, clock=lambda: NOW)
    worker = EmbeddedWorker(
        [driver], BackfillDriver(pipeline.backfill(), policy), ExpiryDriver(pipeline.expiry(), policy), policy
    )
    worker.start()
    assert steps.started.wait(DEADLINE)
    began = time.monotonic()
    worker.stop()
    assert steps.was_cancelled
    assert time.monotonic() - began < DEADLINE / 2
