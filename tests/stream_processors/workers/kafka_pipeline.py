"""A pipeline on Kafka whose store is in memory, shared by all workers of a test."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from schemas.frame import NewFrame
from stream_processors.backends.log.identity import LogIdentity
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.foreign import ForeignRecords
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.kafka.topic import Topic, check_topic, create_topic
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.memory import MemoryEngine, MemorySeenMonths
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.faust_settings import StreamSettings
from stream_processors.workers.faust_worker import FaustDependencies, FaustWorker, build_faust_worker
from stream_processors.workers.policy import WorkerPolicy
from stream_processors.workers.wiring import WorkerPolicies
from tests.factories import NOW
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline

DEADLINE = 60.0
POLICY = WorkerPolicy(flush_linger=0, poll_seconds=0.05, report_seconds=0.1, backfill_rest_ratio=0.0, stop_seconds=5.0)


class AppendedLog(KafkaFrameLog):
    """A log with a single writer, which refreshes the end offsets."""

    def __init__(
        self, cluster: KafkaCluster, topic: str, expected: LogIdentity, foreign: ForeignRecords | None = None
    ) -> None:
        super().__init__(cluster, topic, PARTITIONS, expected=expected, foreign=foreign)
        self._sink = KafkaSink(cluster, topic, verify=self.verify_for_appends)

    async def __aenter__(self) -> Self:
        await self._sink.__aenter__()
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self._sink.__aexit__(kind, error, trace)

    async def append(self, frames: Sequence[NewFrame]) -> None:
        await self._sink.append(frames)
        await self.refresh_ends()


class KafkaPipeline(InMemoryPipeline):
    """Everything but the log is in memory."""

    def __init__(self, log: AppendedLog, stream: StreamSettings, engine: MemoryEngine | None = None) -> None:
        super().__init__()
        self.log = log  # type: ignore[assignment] # the same port
        self.kafka = log
        self.stream = stream
        self.engine = engine or MemoryEngine()
        self.store = GuardedStore(self.engine)  # type: ignore[assignment] # the same ports

    @asynccontextmanager
    async def working(self, **changes: int) -> AsyncIterator[FaustWorker]:
        """Runs one more worker."""
        worker = build_faust_worker(replace(self.stream, **changes), self._dependencies(), POLICIES)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await asyncio.wait_for(running, DEADLINE)

    async def counted(self, *workers: FaustWorker) -> None:
        """Waits until the workers together own all partitions, and no frame waits."""

        async def done() -> bool:
            statuses = [status for worker in workers for status in await worker.partitions()]
            ends = {status.partition: status.next_offset for status in statuses if status.state == "counting"}
            return ends == {number: self.kafka.end_offset(number) for number in range(PARTITIONS)}

        await self.kafka.refresh_ends()
        await until(done)

    def _dependencies(self) -> FaustDependencies:
        return FaustDependencies(
            log=self.kafka,
            store=self.store,
            months=MemorySeenMonths(self.engine),
            meters=self.meters,
            clock=lambda: NOW,
            pause=short_pause,
        )


POLICIES = WorkerPolicies(partitions=PARTITIONS, flush=FlushPolicy(filter_keys=1000), worker=POLICY)


async def short_pause(attempt: int) -> None:
    await asyncio.sleep(min(0.02 * attempt, 0.5))


@asynccontextmanager
async def kafka_pipeline(
    servers: str, topic: str, engine: MemoryEngine | None = None, foreign: ForeignRecords | None = None
) -> AsyncIterator[KafkaPipeline]:
    """A pipeline with its own topic and group."""
    cluster = KafkaCluster(servers=servers)
    wanted = Topic(name=topic, partitions=PARTITIONS, replication_factor=1, min_insync_replicas=1)
    await create_topic(cluster, wanted)
    identity = (await check_topic(cluster, wanted)).identity
    stream = StreamSettings(cluster=cluster, topic=topic, group=topic, heartbeat_seconds=0.3, commit_seconds=0.3)
    async with AppendedLog(cluster, topic, identity, foreign) as log:
        yield KafkaPipeline(log, stream, engine)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for the condition, until the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        await asyncio.sleep(0.02)
