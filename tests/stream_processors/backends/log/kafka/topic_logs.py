"""A log on Kafka for tests: a topic of its own, with its sink and its reader in one object."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from schemas.frame import Frame, NewFrame
from schemas.timestamps import DAY
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.kafka.topic import Topic, create_topic
from tests.contracts.frame_log import PARTITIONS


class TopicLog(msgspec.Struct, frozen=True):
    """One log as the gateway and the processors use it."""

    sink: KafkaSink
    log: KafkaFrameLog

    async def append(self, frames: Sequence[NewFrame]) -> None:
        await self.sink.append(frames)

    async def first_offset(self, partition: int) -> int:
        return await self.log.first_offset(partition)

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        return await self.log.read(partition, start, max_bytes=max_bytes, last=last)

    async def acknowledge(self, partition: int, last: int) -> None:
        await self.log.acknowledge(partition, last)

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        await self.log.wait(partition, start, timeout)

    def end_offset(self, partition: int) -> int:
        return self.log.end_offset(partition)

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        return await self.log.oldest_arrival(partition, start)


def one_broker_topic(partitions: int = PARTITIONS) -> Topic:
    """A topic with the settings one broker can fulfil. Arrivals in tests are near 1970, and must not expire."""
    return Topic(
        name=f"frames-{secrets.token_hex(8)}",
        partitions=partitions,
        replication_factor=1,
        min_insync_replicas=1,
        retention=100_000 * DAY,
    )


async def new_topic(cluster: KafkaCluster, partitions: int = PARTITIONS) -> Topic:
    """Create a topic with a fresh name."""
    topic = one_broker_topic(partitions)
    assert await create_topic(cluster, topic)
    return topic


@asynccontextmanager
async def opened(cluster: KafkaCluster, topic: Topic, policy: KafkaPolicy | None = None) -> AsyncIterator[TopicLog]:
    async with (
        KafkaSink(cluster, topic.name, policy) as sink,
        KafkaFrameLog(cluster, topic.name, topic.partitions, policy) as log,
    ):
        yield TopicLog(sink, log)
