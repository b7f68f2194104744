"""Reads one partition of the log, forwards from any offset, through a consumer that is assigned to it alone."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.errors import StoreFailed
from schemas.frame import Frame
from stream_processors.backends.log.kafka_cluster import TROUBLE, Cluster, troubles
from stream_processors.backends.log.kafka_policy import KafkaPolicy
from stream_processors.backends.log.kafka_records import frame_of

_FETCH_WAIT_MS = 100


class PartitionReader:
    """`async with reader.lock:` go_to, then peek and take. Belongs to one event loop.

    Between two readings the consumer is paused: it keeps what it has fetched, and fetches no more.
    """

    def __init__(self, cluster: Cluster, topic: str, partition: int, policy: KafkaPolicy) -> None:
        self.lock = asyncio.Lock()
        self._cluster = cluster
        self._place = TopicPartition(topic, partition)
        self._policy = policy
        self._consumer: AIOKafkaConsumer | None = None
        self._next = -1
        """The consumer gives frames from here on, except for the one ahead."""
        self._ahead: Frame | None = None

    async def go_to(self, start: int) -> None:
        """The next frame is the first one at or after `start`."""
        if self._consumer is not None and self._next <= start <= (self._ahead.offset if self._ahead else self._next):
            return
        with self._troubles():
            consumer = await self._connected()
            consumer.seek(self._place, start)
        self._next, self._ahead = start, None

    async def peek(self, end: int) -> Frame | None:
        """The next frame, which stays the next one; None where there is none before `end`.

        Raises StoreFailed where the brokers give neither for too long.
        """
        if self._ahead is None and self._next < end:
            try:
                with self._troubles():
                    async with asyncio.timeout(self._policy.call_seconds):
                        self._ahead = await self._fetched(end)
            except BaseException:
                await self.close()
                raise
        if self._ahead is None or self._ahead.offset >= end:
            return None
        return self._ahead

    def take(self) -> Frame:
        """The frame peeked at; the one after it is next."""
        if self._ahead is None:
            raise StoreFailed("there is no frame to take: peek first")
        frame, self._ahead = self._ahead, None
        self._next = frame.offset + 1
        return frame

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._next, self._ahead = -1, None
        if consumer is None:
            return
        try:
            await asyncio.wait_for(consumer.stop(), self._policy.call_seconds)
        except TROUBLE:
            return  # It only reads: nothing is lost with it.

    async def _fetched(self, end: int) -> Frame | None:
        consumer = await self._connected()
        consumer.resume(self._place)
        try:
            while self._next < end:
                records = await consumer.getmany(self._place, timeout_ms=_FETCH_WAIT_MS, max_records=1)
                for record in records.get(self._place, ()):
                    # After retention has cut the log the consumer begins at what is left, and that may be before.
                    if record.offset >= self._next:
                        return frame_of(self._place.partition, record.offset, record.headers, record.value)
                # Offsets without a frame (a mark of a transaction, say) move the position all the same.
                self._next = max(self._next, await consumer.position(self._place))
        finally:
            consumer.pause(self._place)
        return None

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**self._arguments())
            try:
                await asyncio.wait_for(consumer.start(), self._policy.call_seconds)
            except BaseException:
                await consumer.stop()
                raise
            consumer.assign([self._place])
            consumer.seek(self._place, max(self._next, 0))
            consumer.pause(self._place)
            self._consumer = consumer
        return self._consumer

    def _arguments(self) -> dict[str, Any]:
        return self._cluster.arguments(self._policy.call_seconds) | {
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": _FETCH_WAIT_MS,
            "max_partition_fetch_bytes": self._policy.fetch_bytes,
            "fetch_max_bytes": self._policy.fetch_bytes,
        }

    def _troubles(self) -> Any:
        return troubles(self._cluster, self._place.topic)
