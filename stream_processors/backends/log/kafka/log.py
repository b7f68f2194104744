"""The log on Kafka as its readers see it: any frame by its offset, and the end of each partition as it advances."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from aiokafka import TopicPartition

from schemas.errors import Alarm, AwaitsDecision
from schemas.foreign_record import ForeignRecord
from schemas.frame import Frame
from stream_processors.backends.log.identity import LogIdentity
from stream_processors.backends.log.kafka.clients import LoopBound
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.foreign import ForeignRecords
from stream_processors.backends.log.kafka.offsets import BrokerOffsets, PartitionEnds
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.reader import PartitionReader
from stream_processors.backends.log.kafka.topic import require_same_log, require_same_partitions


class KafkaFrameLog:
    """`FrameLog` and `LogTail` over a topic; from any event loop, between `async with`.

    A partition is connected when it is first read. There is no consumer group: which worker counts a partition is
    settled elsewhere, and two may read the same one.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        topic: str,
        partitions: int,
        policy: KafkaPolicy | None = None,
        *,
        expected: LogIdentity | None = None,
        foreign: ForeignRecords | None = None,
    ) -> None:
        """`expected` is the log that the usage was counted from; without it any topic of this name will do."""
        self._cluster = cluster
        self._expected = expected
        self._foreign = foreign or ForeignRecords()
        self._partitions = partitions
        self._topic = topic
        self._policy = policy or KafkaPolicy()
        self._clients_loop = LoopBound()
        self._offsets = BrokerOffsets(cluster, topic, self._policy)
        self._ends = PartitionEnds(self._offsets, partitions, self._policy.poll_seconds)
        self._readers: dict[int, PartitionReader] = {}
        self._arrivals: dict[int, tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        await self._offsets.open()
        try:
            await self._ends.refresh()
        except BaseException:
            await self._offsets.close()
            raise
        self._clients_loop.bind()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clients_loop.unbind()
        await self._ends.close()
        await asyncio.gather(*(reader.close() for reader in self._readers.values()))
        await self._offsets.close()

    async def verify(self) -> None:
        """Raises IdentityChanged if the topic was deleted and created again, StoreFailed if the brokers do not say."""
        expected = self._expected
        if expected is not None:
            found = await self._clients_loop.run(self._offsets.describe)
            require_same_log(found, expected, self._where)

    async def verify_for_appends(self) -> None:
        """As `verify`; raises IdentityChanged also if the topic was given more partitions."""
        expected = self._expected
        if expected is not None:
            found = await self._clients_loop.run(self._offsets.describe)
            require_same_log(found, expected, self._where)
            require_same_partitions(found, expected.partitions, self._where)

    @property
    def _where(self) -> str:
        return f"topic {self._topic!r} at {self._cluster.servers}"

    async def first_offset(self, partition: int) -> int:
        """The lowest offset still held; in an empty partition, the next offset. A boot begins with it.

        Raises IdentityChanged as `verify` does.
        """
        await self.verify()
        return await self._clients_loop.run(lambda: self._offsets.first(partition))

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        """Frames from `start` on: up to `last`, or as many as fit into `max_bytes`.

        Raises IdentityChanged as `verify` does.
        """
        if last is None:
            frames = await self._clients_loop.run(lambda: self._read_available(partition, start, max_bytes))
            if frames:
                # After the read: a topic never gets an earlier id back, so what was read before is of this log too.
                await self.verify()
            return frames
        return await self._clients_loop.run(lambda: self._read_claimed(partition, start, last))

    async def acknowledge(self, partition: int, last: int) -> None:
        """Frames up to `last` are counted. Raises Alarm past the end of the log.

        This deletes nothing: frames go by the topic's retention.
        """
        if last < 0:
            return
        end = self._ends.last_known(partition)
        if last >= end:
            end = await self._clients_loop.run(lambda: self._ends.refresh_one(partition))
        if last >= end:
            raise Alarm(
                f"partition {partition}: frame {last} is said to be counted, but topic {self._topic!r} ends before "
                f"{end}: is this the log that the usage was counted from?"
            )

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Returns when there is a frame at or after `start`, at the latest after `timeout` seconds."""
        await self._clients_loop.run(lambda: self._ends.wait(partition, start, timeout))

    async def refresh_ends(self) -> None:
        """Fetches the end of every partition from the brokers, for `end_offset`. `wait` and `read` do not need it.

        Raises IdentityChanged as `verify` does.
        """
        await self.verify()
        await self._clients_loop.run(self._ends.refresh)
        await self._foreign.store_reported()

    def end_offset(self, partition: int) -> int:
        """The next offset to be assigned, as last reported by the brokers."""
        return self._ends.last_known(partition)

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        """Arrival of the first frame at or after `start`; None if there is none."""
        # The lag is measured repeatedly while a flush is in flight, when the reader has already moved on.
        offset, arrival = self._arrivals.get(partition, (None, None))
        if offset == start:
            return arrival
        return await self._clients_loop.run(lambda: self._arrival(partition, start))

    async def read_foreign(self, partition: int, offset: int) -> ForeignRecord | None:
        """The record at this offset if it is no frame of this partition; None for a frame, and without a record."""
        return await self._clients_loop.run(lambda: self._read_foreign(partition, offset))

    async def _read_foreign(self, partition: int, offset: int) -> ForeignRecord | None:
        if await self._end_after(partition, offset) <= offset:
            return None
        async with self._reader_at(partition, offset) as reader:
            record = await reader.peek_any(offset + 1)
        return record if isinstance(record, ForeignRecord) and record.offset == offset else None

    async def _arrival(self, partition: int, start: int) -> int | None:
        end = await self._end_after(partition, start)
        async with self._reader_at(partition, start) as reader:
            frame = await reader.peek(end)
        if frame is None:
            self._ends.record_empty(partition, start, end)
            return None
        self._arrivals[partition] = (start, frame.arrival)
        return frame.arrival

    async def _read_available(self, partition: int, start: int, max_bytes: int) -> Sequence[Frame]:
        frames: list[Frame] = []
        room = max_bytes
        passed, end = start, await self._end_after(partition, start)
        async with self._reader_at(partition, start) as reader:
            while passed < end:
                while (frame := await _peek_behind(frames, reader, end)) is not None:
                    size = len(frame.payload) if frames else 0
                    if size > room:
                        return frames
                    room -= size
                    frames.append(reader.take(frame))
                if reader.has_unread(end):
                    return frames
                passed, end = end, await self._ends.refresh_one(partition)
        if not frames:
            self._ends.record_empty(partition, start, end)
        return frames

    async def _read_claimed(self, partition: int, start: int, last: int) -> Sequence[Frame]:
        # Claimed frames were read once, so they exist; but a broker that has just become leader may report an earlier
        # end at first. A log that is still shorter after the wait really is shorter.
        await self._ends.wait(partition, last, self._policy.call_seconds)
        end = await self._end_after(partition, last)
        frames: list[Frame] = []
        async with self._reader_at(partition, start) as reader:
            while (frame := await reader.peek(min(end, last + 1))) is not None:
                frames.append(reader.take(frame))
        return frames

    async def _end_after(self, partition: int, start: int) -> int:
        """The last known end if it is past `start`, otherwise the current one. Raises StoreFailed."""
        end = self._ends.last_known(partition)
        return end if end > start else await self._ends.refresh_one(partition)

    @asynccontextmanager
    async def _reader_at(self, partition: int, start: int) -> AsyncIterator[PartitionReader]:
        """The partition's reader, locked, and positioned at `start`."""
        if partition not in self._readers:
            place = TopicPartition(self._topic, partition)
            self._readers[partition] = PartitionReader(
                self._cluster, place, self._partitions, self._policy, self._foreign
            )
        reader = self._readers[partition]
        async with reader.lock:
            await reader.seek(start)
            yield reader


async def _peek_behind(frames: Sequence[Frame], reader: PartitionReader, end: int) -> Frame | None:
    """The next frame; None before an unreadable record if there are frames, so that these are counted first."""
    try:
        return await reader.peek(end)
    except AwaitsDecision:
        if not frames:
            raise
        return None
