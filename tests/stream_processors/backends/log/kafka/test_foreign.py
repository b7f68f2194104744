"""The log on Kafka steps over records of other programs, and stops before records that may hold accepted events."""

from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer

from schemas.errors import AwaitsDecision, StoreFailed
from schemas.foreign_record import ForeignRecord, RecordFault
from schemas.frame import NewFrame
from schemas.logger import NullLogger
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.foreign import ForeignRecords
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.records import STAMP, headers_of
from stream_processors.backends.log.kafka.sink import KafkaSink
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tests.contracts.frame_log import everything, new_frame
from tests.stream_processors.backends.log.kafka.topic_logs import new_topic

pytestmark = pytest.mark.anyio


@pytest.fixture
def cluster(real_broker: str) -> KafkaCluster:
    return KafkaCluster(servers=real_broker)


class SetAsideInMemory:
    """Reports and decisions; the first report is refused."""

    def __init__(self) -> None:
        self.reports: list[ForeignRecord] = []
        self.skipped: set[tuple[int, int]] = set()
        self.refusals = 1

    async def set_aside(self, records: Sequence[ForeignRecord]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreFailed("the store does not answer")
        self.reports += records

    async def is_skipped(self, partition: int, offset: int) -> bool:
        return (partition, offset) in self.skipped


class ErrorLines(NullLogger):
    """Counts the errors."""

    def __init__(self) -> None:
        self.errors = 0

    def error(self, event: str, **fields: object) -> None:
        self.errors += 1


async def write(cluster: KafkaCluster, topic: str, payload: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
    """Writes a record as any program may."""
    async with AIOKafkaProducer(**cluster.arguments(5)) as stranger:
        await stranger.send_and_wait(topic, payload, partition=0, headers=list(headers))


def damaged_headers() -> list[tuple[str, bytes]]:
    arrival, (_, stamp) = headers_of(new_frame(payload=b"damaged"))
    return [arrival, (STAMP, stamp[:-1] + bytes([stamp[-1] ^ 1]))]


async def test_foreign_records_are_stepped_over_and_damaged_ones_await_a_decision(cluster: KafkaCluster) -> None:
    """Frames before the damaged record are read; those behind it only once it is skipped; a redo reads the same."""
    topic, stored, metrics, lines = await new_topic(cluster), SetAsideInMemory(), PrometheusMetrics(), ErrorLines()
    async with KafkaSink(cluster, topic.name) as sink:
        await sink.append([new_frame(payload=b"0")])
        for _ in range(3):
            await write(cluster, topic.name, b"not ours", [])
        await sink.append([new_frame(payload=b"4")])
        await write(cluster, topic.name, b"damaged", damaged_headers())
        await sink.append([new_frame(payload=b"6")])
        await write(cluster, topic.name, b"not ours", [])
    foreign = ForeignRecords(stored, logger=lines, metrics=metrics)
    async with KafkaFrameLog(cluster, topic.name, topic.partitions, foreign=foreign) as log:
        for _ in range(2):
            assert [frame.offset for frame in await everything(log)] == [0, 4]
            assert [frame.offset for frame in await log.read(0, 1, max_bytes=0, last=4)] == [4]
            assert await log.oldest_arrival(0, 2) == 7
            with pytest.raises(AwaitsDecision, match=r"partition 0, offset 5.*topics skip 0 5"):
                await log.read(0, 5, max_bytes=100)
            with pytest.raises(AwaitsDecision):
                await log.oldest_arrival(0, 5)
        stored.skipped.add((0, 5))
        assert [frame.offset for frame in await everything(log)] == [0, 4, 6]
        assert [frame.offset for frame in await log.read(0, 0, max_bytes=0, last=6)] == [0, 4, 6]
        assert await log.read(0, 7, max_bytes=100) == []
        assert await log.oldest_arrival(0, 7) is None
        for _ in range(2):
            await log.refresh_ends()
        assert [(report.offset, report.fault) for report in stored.reports] == [
            *((offset, RecordFault.NO_HEADER) for offset in (1, 2, 3)),
            (5, RecordFault.CHECKSUM),
            (7, RecordFault.NO_HEADER),
        ]
        found = await log.read_foreign(0, 5)
        assert found is not None
        assert found.fault is RecordFault.CHECKSUM
        assert [await log.read_foreign(0, offset) for offset in (0, 8)] == [None, None]
    assert lines.errors == 2
    page = metrics.render().decode()
    assert 'tallyhouse_log_foreign_records_total{reason="no_header"} 4.0' in page
    assert 'tallyhouse_log_foreign_records_total{reason="checksum"} 1.0' in page


async def test_a_copied_frame_is_not_read_again(cluster: KafkaCluster) -> None:
    """A record that another program copied from partition 1 to partition 0, with its headers."""
    topic = await new_topic(cluster)
    original = NewFrame(partition=1, arrival=7, payload=b"original")
    async with KafkaSink(cluster, topic.name) as sink, KafkaFrameLog(cluster, topic.name, topic.partitions) as log:
        await sink.append([original])
        await write(cluster, topic.name, original.payload, headers_of(original))
        assert [frame.payload for frame in await everything(log, 1)] == [b"original"]
        with pytest.raises(AwaitsDecision, match="belongs to another partition"):
            await everything(log, 0)
