"""A process is not ready while a partition has stopped."""

import asyncio
import time
from contextlib import suppress

import pytest

from ingest_gateway.api.health import Health
from ingest_gateway.http.errors import NotReady
from schemas.frame import NewFrame
from schemas.logger import NullLogger
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.embedded_worker import EmbeddedWorker
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy
from tallyhouse.embedded.worker_runtime import Processors
from tests.factories import NOW
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline
from tests.tallyhouse.embedded.processor_check import check_of

pytestmark = pytest.mark.anyio

POLICY = WorkerPolicy(flush_linger=0, poll_seconds=0.01)


def worker_of(pipeline: InMemoryPipeline) -> EmbeddedWorker:
    drivers = [
        PartitionDriver(pipeline.partition(number), pipeline.log, POLICY, clock=lambda: NOW)
        for number in range(PARTITIONS)
    ]
    return EmbeddedWorker(
        drivers, BackfillDriver(pipeline.backfill(), POLICY), ExpiryDriver(pipeline.expiry(), POLICY), POLICY
    )


async def test_one_stopped_partition_makes_the_process_unready() -> None:
    """The process is ready while all partitions count, and not when one lacks frames while the other continues."""
    pipeline = InMemoryPipeline()
    worker = worker_of(pipeline)
    health = Health({"processors": check_of(Processors(worker, is_enabled=True))}, NullLogger())
    worker.start()
    deadline = time.monotonic() + 20
    while not worker.has_booted:
        assert time.monotonic() < deadline
        with suppress(NotReady):  # It boots meanwhile.
            await health.ready("req_1")
        await asyncio.sleep(0.005)
    assert (await health.ready("req_1")).status == 200
    worker.stop()
    await pipeline.log.append([NewFrame(partition=0, arrival=NOW, payload=b"never read")])
    await pipeline.log.acknowledge(0, 0)
    worker = worker_of(pipeline)
    health = Health({"processors": check_of(Processors(worker, is_enabled=True))}, NullLogger())
    worker.start()
    while worker.is_healthy:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    with pytest.raises(NotReady, match="processors") as refusal:
        await health.ready("req_1")
    assert refusal.value.details == {"processors": "failed"}
    worker.stop()


async def test_a_process_with_processing_disabled_is_ready() -> None:
    """It accepts events; another process counts them."""
    processors = Processors(worker_of(InMemoryPipeline()), is_enabled=False)
    assert (await Health({"processors": check_of(processors)}, NullLogger()).ready("req_1")).status == 200
