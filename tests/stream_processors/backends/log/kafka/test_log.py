"""The log on Kafka fulfils the log's contract, across gaps and retention, and its errors name the cause."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Overloaded, StoreFailed
from schemas.frame import NewFrame
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.policy import FRAME_BYTES, KafkaPolicy
from stream_processors.backends.log.kafka.records import headers_of
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.policy import LogPolicy
from tests.contracts.frame_log import (
    DEADLINE,
    AnyLog,
    AnyLogContract,
    Open,
    eventually,
    everything,
    new_frame,
    numbered,
)
from tests.stream_processors.backends.log.kafka.topic_logs import TopicLog, new_topic, opened

NOWHERE = KafkaCluster(servers="127.0.0.1:1")


@pytest.fixture
def cluster(real_broker: str) -> KafkaCluster:
    return KafkaCluster(servers=real_broker)


class TestKafkaLog(AnyLogContract[AnyLog]):
    """Each test has a topic of its own. Counting deletes nothing there: retention does."""

    @pytest.fixture
    def open_log(self, cluster: KafkaCluster) -> Open[AnyLog]:
        @asynccontextmanager
        async def open_one(policy: LogPolicy) -> AsyncIterator[AnyLog]:
            async with opened(cluster, await new_topic(cluster)) as log:
                yield log

        return open_one


@pytest.mark.anyio
async def test_offsets_may_have_gaps(cluster: KafkaCluster) -> None:
    """Offsets without a frame are skipped, in the middle and at the end, and wake no waiter."""
    topic = await new_topic(cluster)
    async with opened(cluster, topic) as log:
        for number in range(2):
            await log.append([new_frame(payload=b"before %d" % number, arrival=number)])
            await leave_a_marker(cluster, topic.name, log)
        assert log.end_offset(0) == 6
        assert [f.offset for f in await everything(log)] == [0, 1, 3, 4]
        assert [f.offset for f in await log.read(0, 0, max_bytes=0, last=3)] == [0, 1, 3]
        assert [f.offset for f in await log.read(0, 2, max_bytes=0)] == [3]
        assert await log.oldest_arrival(0, 2) == 1
        assert await log.read(0, 5, max_bytes=100) == []
        assert await log.oldest_arrival(0, 5) is None
        began = asyncio.get_running_loop().time()
        await log.wait(0, 5, 0.1)
        assert asyncio.get_running_loop().time() - began >= 0.09
        await log.append([new_frame(payload=b"after")])
        await log.wait(0, 5, DEADLINE)
        assert [f.offset for f in await log.read(0, 5, max_bytes=100)] == [6]


@pytest.mark.anyio
async def test_frames_deleted_by_retention_show_as_a_gap(cluster: KafkaCluster) -> None:
    """A read from before the first offset returns what is left, and `first_offset` reports where the log begins."""
    topic = await new_topic(cluster)
    async with opened(cluster, topic) as log:
        await log.append(numbered(9))
        await cut(cluster, topic.name, before=6)
        assert await log.first_offset(0) == 6
        assert [f.offset for f in await log.read(0, 3, max_bytes=100)] == [6, 7, 8]
        assert [f.offset for f in await log.read(0, 0, max_bytes=0, last=7)] == [6, 7]
        await cut(cluster, topic.name, before=9)
        assert await log.first_offset(0) == log.end_offset(0) == 9
        assert await everything(log) == []


@pytest.mark.anyio
async def test_readers_of_one_partition_do_not_disturb_each_other(cluster: KafkaCluster) -> None:
    """Reads at different offsets get their own frames, however they interleave."""
    async with opened(cluster, await new_topic(cluster)) as log:
        await log.append(numbered(50))

        async def read(start: int) -> None:
            for offset in range(start, 50, 7):
                frames = await log.read(0, offset, max_bytes=4, last=None)
                assert [f.payload for f in frames][:1] == [b"%d" % offset]
                assert await log.oldest_arrival(0, offset) == offset

        await asyncio.gather(*(read(start) for start in range(7)))


@pytest.mark.anyio
async def test_errors_name_brokers_that_are_unreachable(cluster: KafkaCluster) -> None:
    """Without a broker appends are refused with a time to retry, and opening the log raises with the address."""
    async with KafkaSink(NOWHERE, "frames") as sink:
        with pytest.raises(Overloaded, match=r"127\.0\.0\.1:1") as refusal:
            await sink.append(numbered(1))
        assert refusal.value.retry_after > 0
        assert sink.in_flight_bytes == 0
    with pytest.raises(StoreFailed, match=r"127\.0\.0\.1:1"):
        async with KafkaFrameLog(NOWHERE, "frames", 1):
            pass


@pytest.mark.anyio
async def test_errors_name_a_topic_that_does_not_exist(cluster: KafkaCluster) -> None:
    """Using the topic does not create it."""
    policy = KafkaPolicy(append_seconds=0.5, call_seconds=0.5)
    async with KafkaSink(cluster, "nobody-made-this", policy) as sink:
        with pytest.raises(Overloaded, match="nobody-made-this"):
            await sink.append(numbered(1))
    with pytest.raises(StoreFailed, match="nobody-made-this"):
        async with KafkaFrameLog(cluster, "nobody-made-this", 1, policy):
            pass


@pytest.mark.anyio
async def test_a_partition_that_does_not_exist_is_refused(cluster: KafkaCluster) -> None:
    """The frame is appended to no other partition, and the next append succeeds."""
    async with opened(cluster, await new_topic(cluster)) as log:
        with pytest.raises(Overloaded, match="partition"):
            await log.append([new_frame(partition=99)])
        await log.append([new_frame()])
        assert log.sink.in_flight_bytes == 0
        assert len(await everything(log)) == 1


@pytest.mark.anyio
async def test_too_much_in_flight_is_refused(cluster: KafkaCluster) -> None:
    """Above the limit whole appends are refused; once what is in flight is acknowledged, appends are accepted again."""
    policy = KafkaPolicy(in_flight_bytes=1_000)
    async with opened(cluster, await new_topic(cluster), policy) as log:
        outcomes = await asyncio.gather(
            *(log.append([new_frame(payload=bytes(600))]) for _ in range(5)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), *[Overloaded] * 4]
        assert log.sink.in_flight_bytes == 0
        await log.append([new_frame(payload=bytes(5_000))])
        assert len(await everything(log)) == 2


@pytest.mark.anyio
async def test_a_producer_in_doubt_is_replaced(cluster: KafkaCluster) -> None:
    """An unexpected sequence number costs one refusal; the next append goes through a new producer."""
    async with opened(cluster, await new_topic(cluster)) as log:
        await log.append(numbered(1))
        producer = log.sink._producer
        assert producer is not None
        producer._client._txn_manager.increment_sequence_number(producer_place(producer._topic), 5)
        with pytest.raises(Overloaded, match="OutOfOrderSequence"):
            await log.append([new_frame(payload=b"refused")])
        await log.append([new_frame(payload=b"healed")])
        assert [f.payload for f in await everything(log)] == [b"0", b"healed"]


@pytest.mark.anyio
async def test_a_cancelled_append_is_delivered_and_breaks_nothing(cluster: KafkaCluster) -> None:
    """Cancelled callers leave the sink usable and its bytes released."""
    async with opened(cluster, await new_topic(cluster)) as log:
        for _ in range(5):
            cancelled = asyncio.create_task(log.append(numbered(1)))
            await asyncio.sleep(0)
            cancelled.cancel()
            await log.append([new_frame(payload=b"x")])
        payloads = [f.payload for f in await everything(log)]
        assert payloads.count(b"x") == 5
        assert log.sink.in_flight_bytes == 0


@pytest.mark.anyio
async def test_a_closed_log_raises(cluster: KafkaCluster) -> None:
    """Appends and reads raise after the log is closed."""
    async with opened(cluster, await new_topic(cluster)) as log:
        pass
    with pytest.raises(StoreFailed, match="not open"):
        await log.append(numbered(1))
    with pytest.raises(StoreFailed, match="not open"):
        await log.read(0, 0, max_bytes=0)


@pytest.mark.anyio
async def test_the_largest_frame_fits(cluster: KafkaCluster) -> None:
    """It passes the producer, the topic's limit and a fetch of a much smaller size."""
    payload = random.Random(0).randbytes(FRAME_BYTES)
    async with opened(cluster, await new_topic(cluster)) as log:
        await log.append([new_frame(payload=payload), new_frame(payload=b"after")])
        assert [f.payload for f in await everything(log)] == [payload, b"after"]


STEPS = st.lists(
    st.one_of(st.integers(1, 5), st.tuples(st.integers(0, 2), st.integers(0, 200))), min_size=1, max_size=25
)
"""A number appends that many frames; a pair lets one of three readers read up to that many bytes."""


@settings(max_examples=20)
@given(steps=STEPS)
def test_every_reader_gets_every_frame_once_and_in_order(
    cluster: KafkaCluster, steps: list[int | tuple[int, int]]
) -> None:
    """This holds however appends and reads interleave."""

    async def check() -> None:
        appended: list[bytes] = []
        read: list[list[bytes]] = [[] for _ in range(3)]
        positions = [0] * 3

        async def read_on(log: TopicLog, reader: int, max_bytes: int) -> None:
            frames = await log.read(0, positions[reader], max_bytes=max_bytes)
            assert bool(frames) == (len(read[reader]) < len(appended))
            read[reader] += [frame.payload for frame in frames]
            if frames:
                positions[reader] = frames[-1].offset + 1

        async with opened(cluster, await new_topic(cluster, 1)) as log:
            for step in steps:
                if isinstance(step, int):
                    new = [b"%d" % number * 9 for number in range(len(appended), len(appended) + step)]
                    appended += new
                    await log.append([NewFrame(partition=0, arrival=1, payload=payload) for payload in new])
                else:
                    await read_on(log, *step)
            for reader in range(3):
                while positions[reader] < len(appended):
                    await read_on(log, reader, 1_000)
        assert read == [appended] * 3

    asyncio.run(check())


def producer_place(topic: str) -> TopicPartition:
    return TopicPartition(topic, 0)


async def leave_a_marker(cluster: KafkaCluster, topic: str, log: TopicLog) -> None:
    """Append a frame in a transaction, whose end marker takes one offset that holds no frame."""
    await log.log.refresh_ends()
    end = log.end_offset(0)
    marked_frame = NewFrame(partition=0, arrival=1, payload=b"marked")
    async with AIOKafkaProducer(**cluster.arguments(5), transactional_id=topic) as producer, producer.transaction():
        await producer.send_and_wait(topic, b"marked", partition=0, headers=headers_of(marked_frame))

    async def marked() -> bool:
        await log.log.refresh_ends()
        return log.end_offset(0) == end + 2

    await eventually(marked)


async def cut(cluster: KafkaCluster, topic: str, before: int) -> None:
    """Delete frames, as retention does."""
    admin = AIOKafkaAdminClient(**cluster.arguments(5))
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()
