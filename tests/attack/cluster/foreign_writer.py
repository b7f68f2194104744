"""Writes to a topic as any program may, and alters the topic itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.structs import ConsumerRecord

from schemas.foreign_record import ForeignRecord
from schemas.frame import NewFrame
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.records import ARRIVAL, STAMP, headers_of
from stream_processors.backends.log.kafka.topic import Topic, create_topic

CALL_SECONDS = 20.0

Headers = Sequence[tuple[str, bytes]]


def arrival_header(arrival: int) -> Headers:
    """The one header that gateways of earlier releases wrote."""
    return [(ARRIVAL, arrival.to_bytes(8, "big"))]


def damaged_headers(frame: NewFrame) -> Headers:
    """A gateway's headers with one wrong bit in the checksum."""
    arrival, (_, stamp) = headers_of(frame)
    return [arrival, (STAMP, stamp[:-1] + bytes([stamp[-1] ^ 1]))]


class ForeignWriter:
    """A program without respect for the topic."""

    def __init__(self, servers: str, topic: str) -> None:
        self._cluster = KafkaCluster(servers=servers)
        self._topic = topic

    async def write(self, partition: int, payload: bytes | None, headers: Headers = ()) -> int:
        """The offset of the record."""
        async with AIOKafkaProducer(**self._cluster.arguments(CALL_SECONDS)) as producer:
            sent = await producer.send_and_wait(
                self._topic, payload, key=b"any", partition=partition, headers=list(headers)
            )
        return int(sent.offset)

    async def first_record(self, partition: int) -> ConsumerRecord:
        """The first record of the partition, which must have one."""
        place = TopicPartition(self._topic, partition)
        async with AIOKafkaConsumer(**self._cluster.arguments(CALL_SECONDS), enable_auto_commit=False) as consumer:
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            return await consumer.getone(place)

    async def copy_first(self, source: int, target: int) -> int:
        """Copies the first record with its headers to another partition; its offset there."""
        record = await self.first_record(source)
        return await self.write(target, record.value, record.headers)

    async def add_partitions(self, total: int) -> None:
        async with self._admin() as admin:
            await admin.create_partitions({self._topic: NewPartitions(total)})

    async def recreate(self, partitions: int) -> None:
        """Deletes the topic and creates it again under its name."""
        async with self._admin() as admin:
            await admin.delete_topics([self._topic])
        again = Topic(name=self._topic, partitions=partitions, replication_factor=1, min_insync_replicas=1)
        async with asyncio.timeout(CALL_SECONDS):
            while not await create_topic(self._cluster, again):  # noqa: ASYNC110 - the brokers delete it meanwhile
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._cluster.arguments(CALL_SECONDS))
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


class DecisionsInMemory:
    """The stored reports, and the decisions to skip."""

    def __init__(self) -> None:
        self.reports: dict[tuple[int, int], ForeignRecord] = {}
        self.skipped: set[tuple[int, int]] = set()

    async def set_aside(self, records: Sequence[ForeignRecord]) -> None:
        for record in records:
            self.reports[record.partition, record.offset] = record

    async def is_skipped(self, partition: int, offset: int) -> bool:
        return (partition, offset) in self.skipped
