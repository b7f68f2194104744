"""Reads one partition of the log forwards from any offset, through a consumer that is assigned to it alone."""

import asyncio
from collections import deque
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.foreign_record import ForeignRecord
from schemas.frame import Frame
from stream_processors.backends.log.kafka.clients import close_client
from stream_processors.backends.log.kafka.cluster import KafkaCluster, translate_errors
from stream_processors.backends.log.kafka.foreign import ForeignRecords
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.records import RecordFields, read_record

_FETCH_WAIT_MS = 100


class PartitionReader:
    """Under `async with reader.lock`: seek, then peek and take. Belongs to one event loop.

    Between two reads the consumer is paused: it keeps what it has fetched, and fetches no more.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        place: TopicPartition,
        partitions: int,
        policy: KafkaPolicy,
        foreign: ForeignRecords,
    ) -> None:
        """`partitions` is the number of partitions of the log."""
        self.lock = asyncio.Lock()
        self._cluster = cluster
        self._place = place
        self._partitions = partitions
        self._policy = policy
        self._foreign = foreign
        self._consumer: AIOKafkaConsumer | None = None
        self._prefetched: deque[Frame | ForeignRecord] = deque()
        """What is fetched and not yet taken: all from `_position` up to `_next`, where the consumer continues."""
        self._position = self._next = 0

    async def seek(self, start: int) -> None:
        """The next frame is the first one at or after `start`."""
        if self._consumer is not None and self._position <= start <= self._next:
            while self._prefetched and self._prefetched[0].offset < start:
                self._prefetched.popleft()
        else:
            with self._translate_errors():
                consumer = await self._connected()
                consumer.seek(self._place, start)
            self._prefetched.clear()
            self._next = start
        self._position = start

    async def peek(self, end: int) -> Frame | None:
        """The next frame, without taking it; None if there is none before `end`.

        Records of other programs are stepped over. Raises AwaitsDecision before a record that may hold accepted
        events, unless an operator has decided to skip it, and StoreFailed when the brokers return neither a frame nor
        the end within `call_seconds`.
        """
        while (record := await self.peek_any(end)) is not None:
            if isinstance(record, Frame):
                return record
            await self._foreign.step_over(record)
            self._pass(record)
        return None

    def has_unread(self, end: int) -> bool:
        """True if `peek` left a record before `end`, which is unreadable."""
        return bool(self._prefetched) and self._prefetched[0].offset < end

    def take(self, frame: Frame) -> Frame:
        """Passes the frame that `peek` returned."""
        self._pass(frame)
        return frame

    def _pass(self, record: Frame | ForeignRecord) -> None:
        self._prefetched.popleft()
        self._position = record.offset + 1

    async def peek_any(self, end: int) -> Frame | ForeignRecord | None:
        """The next record before `end`, frame or not. Raises StoreFailed as `peek` does."""
        if not self._prefetched and self._next < end:
            try:
                with self._translate_errors():
                    async with asyncio.timeout(self._policy.call_seconds):
                        await self._fetch(end)
            except BaseException:
                await self.close()
                raise
        return self._prefetched[0] if self._prefetched and self._prefetched[0].offset < end else None

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._prefetched.clear()
        if consumer is not None:
            await close_client(consumer, self._policy.call_seconds)

    async def _fetch(self, end: int) -> None:
        consumer = await self._connected()
        consumer.resume(self._place)
        try:
            while not self._prefetched and self._next < end:
                records = await consumer.getmany(self._place, timeout_ms=_FETCH_WAIT_MS)
                for record in records.get(self._place, ()):
                    # A consumer whose offset was deleted restarts at the earliest one left, which may be lower.
                    if record.offset >= self._position:
                        fields = RecordFields(
                            self._place.partition, record.offset, record.headers, record.value, record.timestamp
                        )
                        self._prefetched.append(read_record(fields, self._partitions))
                # Offsets without a frame (a transaction marker, for instance) advance the position as well.
                self._next = await consumer.position(self._place)
        finally:
            consumer.pause(self._place)

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**self._arguments())
            try:
                await asyncio.wait_for(consumer.start(), self._policy.call_seconds)
            except BaseException:
                await close_client(consumer, self._policy.call_seconds)
                raise
            consumer.assign([self._place])
            consumer.seek(self._place, self._position)
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

    def _translate_errors(self) -> Any:
        return translate_errors(self._cluster, self._place.topic)
