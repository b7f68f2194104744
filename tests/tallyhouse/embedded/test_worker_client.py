"""The worker as the gateway reports it."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from schemas.errors import Halted, StoreFailed
from schemas.flush import PartitionStatus, SeenRows
from schemas.frame import NewFrame
from schemas.logger import NullLogger
from schemas.metrics import Counter
from schemas.timestamps import SECOND
from stream_processors.backends.log.memory import MemoryFrameLog
from tallyhouse.embedded.report import MetricSample, Report
from tallyhouse.embedded.worker_client import AlarmedSink, WorkerClient, WorkerSeenKeys
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.startup import Runtime
from tests.factories import NOW

pytestmark = pytest.mark.anyio


class FakeWorkerProcess:
    """A log of two partitions and the client of a worker that has not reported yet."""

    def __init__(self) -> None:
        self.log = MemoryFrameLog(2)
        self.metrics = PrometheusMetrics()
        runtime = Runtime(clock=lambda: NOW + 3 * SECOND, logger=NullLogger(), metrics=self.metrics)
        self.is_stopped = False
        self.worker = WorkerClient(self.log, 2, runtime, lambda: self.is_stopped)

    async def append(self, count: int) -> None:
        await self.log.append([NewFrame(partition=0, arrival=NOW, payload=b"frame")] * count)


def report(next_offset: int = 0, *, counted: int | None = None, is_healthy: bool = True) -> Report:
    """A report of a worker that has counted all frames it sees."""
    partitions = [
        PartitionStatus(
            partition=partition,
            flush=1,
            next_offset=offset,
            end_offset=offset,
            lag_frames=0,
            lag_seconds=0.0,
            state="counting",
        )
        for partition, offset in ((0, next_offset), (1, 0))
    ]
    return Report(
        partitions=partitions,
        backfills="counting",
        is_healthy=is_healthy,
        counted={} if counted is None else {0: counted},
        samples=[MetricSample(Counter.BOOTS.name, 1.0, ("0",))],
        memory=10,
    )


async def test_a_worker_that_has_not_reported_is_booting() -> None:
    """A worker that has ended is booting too, and keeps its progress."""
    fake = FakeWorkerProcess()
    await fake.append(2)
    assert [each.state for each in await fake.worker.partitions()] == ["booting", "booting"]
    await fake.worker.on_report(report(next_offset=1))
    assert [each.state for each in await fake.worker.partitions()] == ["counting", "counting"]
    assert await fake.worker.backfills() == "counting"
    await fake.worker.check()
    await fake.worker.on_report(None)
    first, _ = await fake.worker.partitions()
    assert (first.state, first.next_offset, await fake.worker.backfills()) == ("booting", 1, "booting")
    with pytest.raises(RuntimeError, match="absent"):
        await fake.worker.check()


async def test_the_gateway_calculates_the_lag() -> None:
    """It includes frames that the worker has not seen yet."""
    fake = FakeWorkerProcess()
    await fake.append(3)
    await fake.worker.on_report(report(next_offset=1))
    first, second = await fake.worker.partitions()
    assert (first.end_offset, first.lag_frames, first.lag_seconds) == (3, 2, 3.0)
    assert (second.end_offset, second.lag_frames, second.lag_seconds) == (0, 0, 0.0)


async def test_counted_frames_are_acknowledged_and_metrics_forwarded() -> None:
    """A report of more frames than the log holds is ignored, and the gateway continues."""
    fake = FakeWorkerProcess()
    await fake.append(3)
    await fake.worker.on_report(report(next_offset=2, counted=1))
    assert await fake.log.first_offset(0) == 2
    await fake.worker.on_report(report(next_offset=9, counted=8))
    assert await fake.log.first_offset(0) == 2
    lines = fake.metrics.render().decode().splitlines()
    assert 'tallyhouse_partition_boots_total{partition="0"} 2.0' in lines
    assert "tallyhouse_worker_memory_bytes 10.0" in lines


async def test_a_stopped_partition_fails_the_check() -> None:
    fake = FakeWorkerProcess()
    await fake.worker.on_report(report(is_healthy=False))
    with pytest.raises(RuntimeError, match="tallyhouse status"):
        await fake.worker.check()


async def test_the_worker_has_caught_up_when_all_frames_before_the_ends_are_counted() -> None:
    """An earlier end of the log is not enough."""
    fake = FakeWorkerProcess()
    await fake.worker.on_report(report(next_offset=1))
    waiting = asyncio.create_task(fake.worker.wait_caught_up({0: 2, 1: 0}))
    await asyncio.sleep(0)
    assert not waiting.done()
    await fake.worker.on_report(report(next_offset=2))
    async with asyncio.timeout(20):
        await waiting


async def test_nothing_is_appended_after_an_alarm_about_the_log() -> None:
    """What is accepted then could be lost; the refusal says what to do. A worker that ends changes nothing."""
    fake = FakeWorkerProcess()
    sink = AlarmedSink(fake.log, fake.worker)
    frame = NewFrame(partition=0, arrival=NOW, payload=b"frame")
    await fake.worker.on_report(report())
    await sink.append([frame])
    alarmed = replace(report(is_healthy=False), log_alarm="frame 3 is damaged: restore the whole data directory")
    for following in (alarmed, None):
        await fake.worker.on_report(following)
        with pytest.raises(Halted, match="could be lost: frame 3 is damaged: restore"):
            await sink.append([frame])
    assert fake.log.end_offset(0) == 1


async def test_the_store_is_absent_while_the_worker_is_stopped_or_starting() -> None:
    """A query is given up then; it is not while the worker reports."""
    fake = FakeWorkerProcess()
    assert "is starting" in str(await fake.worker.why_store_is_absent())
    await fake.worker.on_report(report())
    assert await fake.worker.why_store_is_absent() is None
    fake.is_stopped = True
    assert "is stopped (SIGSTOP" in str(await fake.worker.why_store_is_absent())


class SlowSeenKeys:
    """Answers once `may_answer` is set."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        await self.may_answer.wait()
        return SeenRows(key_hashes, [7], [NOW])


async def test_keys_are_looked_up_only_while_the_worker_answers() -> None:
    """A lookup does not wait for an absent worker, and for a slow one only a second."""
    fake, seen = FakeWorkerProcess(), SlowSeenKeys()
    keys = WorkerSeenKeys(fake.worker, seen)
    with pytest.raises(StoreFailed, match="absent"):
        await keys.find(0, 1, [b"key"])
    await fake.worker.on_report(report())
    with pytest.raises(StoreFailed, match="in time"):
        await keys.find(0, 1, [b"key"])
    seen.may_answer.set()
    assert (await keys.find(0, 1, [b"key"])).key_hashes == [b"key"]
