"""Faust workers on Kafka count everything once, over starts, stops, stalls and crashes."""

import asyncio
import random
from collections.abc import Callable, Collection

import pyarrow as pa
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from msgspec.structs import replace

from schemas.flush import Table
from schemas.frame import NewFrame
from stream_processors.backends.log.kafka.topic import Topic, create_topic
from stream_processors.backends.store.memory import MemoryEngine
from stream_processors.workers.faust_worker import FaustWorker
from tests.backing_services.kafka import PausableKafkaBroker
from tests.factories import NOW, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import PARTITIONS
from tests.stream_processors.workers.kafka_pipeline import KafkaPipeline, kafka_pipeline, until

pytestmark = pytest.mark.anyio

TopicNames = Callable[[], str]


async def post(pipeline: KafkaPipeline, first: int, count: int) -> None:
    """Posts new events, and half of those of the post before again: retries."""
    for start in range(first, first + count, 10):
        keys = range(max(start - 5, 0), start + 10)
        await pipeline.post([make_event(f"key_{number}", {"tokens": number}) for number in keys], NOW + start)


async def owning(worker: FaustWorker, partitions: int) -> None:
    async def owns() -> bool:
        return len(await worker.partitions()) == partitions

    await until(owns)


async def test_two_workers_share_partitions_and_take_over(real_broker: str, topic_name: TopicNames) -> None:
    """One starts, one stops, during traffic with retries: each event is counted once, and offsets are committed."""
    async with kafka_pipeline(real_broker, topic_name()) as pipeline:
        pipeline.meters.add(make_meter("tokens", "sum"))
        async with pipeline.working() as second:
            async with pipeline.working() as first:
                await post(pipeline, 0, 100)
                await owning(first, 1)
                await owning(second, 1)
                assert {status.partition for worker in (first, second) for status in await worker.partitions()} == {
                    0,
                    1,
                }
                await post(pipeline, 100, 100)
                await pipeline.counted(first, second)
                pipeline.assert_exact()
                await post(pipeline, 200, 50)
            await owning(second, PARTITIONS)
            await post(pipeline, 250, 50)
            await pipeline.counted(second)
        pipeline.assert_exact()
        async with pipeline.working() as third:
            await pipeline.counted(third)
            assert third._owned._frames.held_bytes == 0


async def test_a_late_meter_counts_past_events_over_a_change_of_workers(
    real_broker: str, topic_name: TopicNames
) -> None:
    """Backfills run once for all partitions, and another worker continues them."""
    async with kafka_pipeline(real_broker, topic_name()) as pipeline:
        pipeline.meters.add(make_meter("requests"))

        async def complete() -> bool:
            return sum(value for key, value in pipeline.usage.items() if key[1] == "tokens") == sum(range(60))

        async with pipeline.working() as first:
            await post(pipeline, 0, 50)
            await pipeline.counted(first)
        pipeline.meters.add(make_meter("tokens", "sum"))
        async with pipeline.working(), pipeline.working():
            await post(pipeline, 50, 10)
            await until(complete)
        pipeline.assert_exact()


class GatedEngine(MemoryEngine):
    """An engine whose inserts wait for an event."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def insert_guarded(
        self,
        table: Table,
        partition: int,
        number: int,
        piece: int,
        rows: pa.Table,
        token: str,
        after: Collection[Table] = (),
    ) -> None:
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        await super().insert_guarded(table, partition, number, piece, rows, token, after)


async def test_a_slow_store_pauses_the_stream(real_broker: str, topic_name: TopicNames) -> None:
    """While the store hangs the worker buffers a bounded number of frames; afterwards all are counted."""
    engine, room, fetched, chance = GatedEngine(), 100_000, 50_000, random.Random(7)
    async with kafka_pipeline(real_broker, topic_name(), engine) as pipeline:
        pipeline.meters.add(make_meter("requests"))
        pipeline.stream = replace(pipeline.stream, fetch_bytes=fetched)
        engine.gate.clear()
        async with pipeline.working(buffer_bytes=room) as worker:
            await owning(worker, PARTITIONS)
            for start in range(0, 2000, 20):
                texts = [chance.randbytes(1000).hex() for _ in range(20)]
                events = [make_event(f"key_{start + place}", {"noise": text}) for place, text in enumerate(texts)]
                await pipeline.post(events, NOW + start)
                assert worker._owned._frames.held_bytes <= PARTITIONS * (room + fetched)
            waiting = [await pipeline.kafka.read(number, 0, max_bytes=2**30) for number in range(PARTITIONS)]
            assert sum(len(frame.payload) for frames in waiting for frame in frames) > 3 * PARTITIONS * (room + fetched)
            assert worker._owned._frames.held_bytes >= PARTITIONS * room
            engine.gate.set()
            await pipeline.counted(worker)
        pipeline.assert_exact()


async def test_a_flush_that_hangs_is_cancelled_at_a_rebalance(real_broker: str, topic_name: TopicNames) -> None:
    """The rebalance waits for it a bounded time; the new owner redoes it, and a late insert has no effect."""
    engine = GatedEngine()
    async with kafka_pipeline(real_broker, topic_name(), engine) as pipeline:
        pipeline.meters.add(make_meter("requests"))
        async with pipeline.working() as first:
            await post(pipeline, 0, 20)
            await pipeline.counted(first)
            engine.gate.clear()
            await post(pipeline, 20, 20)

            async def stuck() -> bool:
                return engine.waiting == PARTITIONS

            await until(stuck)
            async with pipeline.working() as second:
                await owning(second, 1)
                engine.gate.set()
                await pipeline.counted(first, second)
        pipeline.assert_exact()


async def test_a_foreign_record_in_the_topic_stops_one_partition(real_broker: str, topic_name: TopicNames) -> None:
    """A record that is no frame raises an alarm and is never skipped; the other partition continues."""
    async with kafka_pipeline(real_broker, topic_name()) as pipeline:
        pipeline.meters.add(make_meter("requests"))
        async with pipeline.working() as worker:
            await post(pipeline, 0, 20)
            await pipeline.counted(worker)
            await pipeline.kafka.append([NewFrame(partition=1, arrival=NOW, payload=b"no frame")])

            async def stopped() -> bool:
                return (await worker.partitions())[1].state.startswith("stopped: ")

            await until(stopped)
            assert not worker.is_healthy
            await post(pipeline, 20, 40)

            async def other_is_counted() -> bool:
                return (await worker.partitions())[0].next_offset == pipeline.kafka.end_offset(0)

            await until(other_is_counted)


async def test_partitions_missing_at_first_are_assigned_soon(real_broker: str, topic_name: TopicNames) -> None:
    """Brokers that have just restarted may not know a topic yet: a worker without partitions refreshes its metadata."""
    async with kafka_pipeline(real_broker, topic_name()) as pipeline:
        later = topic_name()
        pipeline.stream = replace(pipeline.stream, topic=later)
        async with pipeline.working() as worker:
            await until(lambda: _has_members(pipeline))
            assert await worker.partitions() == []
            topic = Topic(name=later, partitions=PARTITIONS, replication_factor=1, min_insync_replicas=1)
            await create_topic(pipeline.stream.cluster, topic)
            await owning(worker, PARTITIONS)


async def _has_members(pipeline: KafkaPipeline) -> bool:
    """True if the group has a member, and its assignment is complete."""
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.stream.cluster.servers)
    await admin.start()
    try:
        [answer] = await admin.describe_consumer_groups([pipeline.stream.group])
    except GroupCoordinatorNotAvailableError:
        return False
    finally:
        await admin.close()
    return bool(answer.groups[0][2] == "Stable")


@pytest.mark.long
async def test_counting_continues_when_the_broker_returns(
    killable_broker: PausableKafkaBroker, topic_name: TopicNames
) -> None:
    """Killed and restarted under a running worker, with and without waiting frames; the worker is not restarted."""
    async with kafka_pipeline(killable_broker.bootstrap, topic_name()) as pipeline:
        pipeline.meters.add(make_meter("requests"))
        async with pipeline.working() as worker:
            for start in (0, 30):
                await post(pipeline, start, 30)
                if start == 30:
                    await pipeline.counted(worker)
                await asyncio.to_thread(killable_broker.kill)
                await asyncio.sleep(1.0)
                await asyncio.to_thread(killable_broker.restart)
                await _answering(pipeline)
            await post(pipeline, 60, 10)
            await pipeline.counted(worker)
        pipeline.assert_exact()


# If a fetch waits for unreachable brokers, the client ends its thread with an exception.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_can_start_and_stop_without_a_broker(
    killable_broker: PausableKafkaBroker, topic_name: TopicNames
) -> None:
    """It counts as soon as there is a broker; without one it stops in a bounded time."""

    async def story() -> None:
        async with kafka_pipeline(killable_broker.bootstrap, topic_name()) as pipeline:
            pipeline.stream = replace(pipeline.stream, stop_seconds=2.0)
            pipeline.meters.add(make_meter("requests"))
            await post(pipeline, 0, 30)
            await asyncio.to_thread(killable_broker.kill)
            async with pipeline.working() as worker:
                await asyncio.sleep(1.0)
                await asyncio.to_thread(killable_broker.restart)
                await pipeline.counted(worker)
                await asyncio.to_thread(killable_broker.kill)
                await asyncio.sleep(1.0)
            pipeline.assert_exact()
            async with pipeline.working():
                await asyncio.sleep(0.5)
            await asyncio.to_thread(killable_broker.restart)

    # In a separate event loop: the one of the other tests fails a test for the tasks that Faust leaves behind.
    asyncio.run(story())


async def _answering(pipeline: KafkaPipeline) -> None:
    """Waits until a broker that has just started has elected its leaders."""

    async def answers() -> bool:
        try:
            await pipeline.kafka.append([])
            await pipeline.kafka.refresh_ends()
        except Exception as failure:
            print(failure)
            return False
        return True

    await until(answers)
