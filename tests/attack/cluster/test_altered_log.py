"""A worker on a log that others write to and alter: everything of ours is counted once, or there is an alarm."""

import random
from collections.abc import Callable

import pytest

from schemas.errors import IdentityChanged, Overloaded
from schemas.foreign_record import RecordFault
from schemas.frame import NewFrame, encode
from stream_processors.backends.log.kafka.foreign import ForeignRecords
from stream_processors.backends.log.kafka.records import headers_of
from stream_processors.workers.faust_worker import FaustWorker
from tests.attack.cluster.foreign_writer import DecisionsInMemory, ForeignWriter, arrival_header, damaged_headers
from tests.factories import NOW, make_batch, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import PARTITIONS
from tests.stream_processors.workers.kafka_pipeline import KafkaPipeline, kafka_pipeline, until

pytestmark = pytest.mark.anyio

TopicNames = Callable[[], str]

FRAME = NewFrame(partition=1, arrival=NOW, payload=encode(make_batch([make_event("foreign")])))
EMPTY = NewFrame(partition=1, arrival=NOW, payload=encode(make_batch([])))


async def post(pipeline: KafkaPipeline, first: int, count: int) -> None:
    """Posts new events, and half of those of the post before again: retries."""
    for start in range(first, first + count, 10):
        keys = range(max(start - 5, 0), start + 10)
        await pipeline.post([make_event(f"key_{number}", {"tokens": number}) for number in keys], NOW + start)


async def stopped_at(worker: FaustWorker, partition: int, offset: int) -> None:
    async def stopped() -> bool:
        states = {status.partition: status.state for status in await worker.partitions()}
        return f"partition {partition}, offset {offset}:" in states.get(partition, "")

    await until(stopped)


async def counting_at(worker: FaustWorker, partition: int) -> None:
    async def counting() -> bool:
        states = {status.partition: status.state for status in await worker.partitions()}
        return states.get(partition) == "counting"

    await until(counting)


async def test_records_of_another_program_change_nothing(real_broker: str, topic_name: TopicNames) -> None:
    """Before, between and behind the frames, with and without a payload; each is reported once."""
    topic, decisions, chance = topic_name(), DecisionsInMemory(), random.Random(13)
    writer = ForeignWriter(real_broker, topic)
    async with kafka_pipeline(real_broker, topic, foreign=ForeignRecords(decisions)) as pipeline:
        pipeline.meters.add(make_meter("tokens", "sum"))
        written = set()
        for partition in range(PARTITIONS):
            written.add((partition, await writer.write(partition, b"before")))
        async with pipeline.working() as worker:
            for start in range(0, 100, 20):
                await post(pipeline, start, 20)
                for partition in range(PARTITIONS):
                    payload = chance.choice([None, b"", chance.randbytes(500), FRAME.payload])
                    written.add((partition, await writer.write(partition, payload)))
            await post(pipeline, 100, 20)
            await pipeline.counted(worker)
            pipeline.assert_exact()
            for partition in range(PARTITIONS):
                written.add((partition, await writer.write(partition, b"behind")))

            async def all_reported() -> bool:
                return set(decisions.reports) == written

            await until(all_reported)
            assert worker.is_healthy
            assert [status.lag_frames for status in await worker.partitions()] == [0] * PARTITIONS
        async with pipeline.working() as second:
            await post(pipeline, 120, 20)
            await pipeline.counted(second)
        pipeline.assert_exact()


async def test_a_record_that_may_be_ours_stops_its_partition_until_it_is_skipped(
    real_broker: str, topic_name: TopicNames
) -> None:
    """Absurd arrivals, damage, garbage and a copied frame: the partition continues without a restart, exactly."""
    topic, decisions = topic_name(), DecisionsInMemory()
    writer = ForeignWriter(real_broker, topic)
    async with kafka_pipeline(real_broker, topic, foreign=ForeignRecords(decisions)) as pipeline:
        pipeline.meters.add(make_meter("tokens", "sum"))
        async with pipeline.working() as worker:
            await post(pipeline, 0, 20)
            offsets = {
                await writer.write(1, FRAME.payload, arrival_header(2**64 - 1)): RecordFault.ARRIVAL,
                await writer.write(1, FRAME.payload, damaged_headers(FRAME)): RecordFault.CHECKSUM,
                await writer.write(1, b"garbage", arrival_header(NOW)): RecordFault.CONTENT,
                await writer.write(1, None, headers_of(FRAME)): RecordFault.HEADER,
                await writer.copy_first(0, 1): RecordFault.PARTITION,
            }
            await post(pipeline, 20, 60)
            for offset in offsets:
                await stopped_at(worker, 1, offset)
                assert not worker.is_healthy
                await counting_at(worker, 0)
                decisions.skipped.add((1, offset))
            await pipeline.counted(worker)
            await counting_at(worker, 1)
            assert worker.is_healthy
        pipeline.assert_exact()
        assert {offset: report.fault for (_, offset), report in decisions.reports.items()} == offsets


async def test_more_partitions_keep_new_frames_out_and_lose_none(real_broker: str, topic_name: TopicNames) -> None:
    """The workers count what is in the log, also after a restart, and leave the new partitions alone."""
    topic = topic_name()
    async with kafka_pipeline(real_broker, topic) as pipeline:
        pipeline.meters.add(make_meter("tokens", "sum"))
        await post(pipeline, 0, 40)
        async with pipeline.working() as worker:
            await pipeline.counted(worker)
            await ForeignWriter(real_broker, topic).add_partitions(PARTITIONS + 2)

            async def grown() -> bool:
                try:
                    await pipeline.kafka.verify_for_appends()
                except IdentityChanged as error:
                    return "a topic cannot shrink" in str(error)
                return False

            await until(grown)
            with pytest.raises(Overloaded, match="a topic cannot shrink"):
                await pipeline.kafka._sink.append([EMPTY])
        async with pipeline.working() as second:
            await pipeline.counted(second)
            assert second.is_healthy
        pipeline.assert_exact()


async def test_a_topic_that_is_made_again_is_neither_counted_nor_appended_to(
    real_broker: str, topic_name: TopicNames
) -> None:
    """With fewer and with more frames in the new topic than in the old one."""
    topic = topic_name()
    writer = ForeignWriter(real_broker, topic)
    async with kafka_pipeline(real_broker, topic) as pipeline:
        pipeline.meters.add(make_meter("tokens", "sum"))
        async with pipeline.working() as worker:
            await post(pipeline, 0, 40)
            await pipeline.counted(worker)
            before = dict(pipeline.usage)
            await writer.recreate(PARTITIONS)
            for number in range(20):
                for partition in range(PARTITIONS):
                    frame = NewFrame(
                        partition=partition, arrival=NOW, payload=encode(make_batch([make_event(f"new {number}")]))
                    )
                    with pytest.raises(Overloaded):
                        await pipeline.kafka._sink.append([frame])

            async def alarmed() -> bool:
                return not worker.is_healthy

            await until(alarmed)
        assert pipeline.usage == before
        async with pipeline.working() as second:
            await until(lambda: _is_unhealthy(second))
            assert await second.partitions() == []
        assert pipeline.usage == before


async def _is_unhealthy(worker: FaustWorker) -> bool:
    return not worker.is_healthy
