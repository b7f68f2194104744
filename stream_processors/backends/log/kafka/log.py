"""The log on Kafka, as its readers see it: any frame by its offset, the growing end, and how far it is counted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from schemas.errors import Alarm
from schemas.frame import Frame
from stream_processors.backends.log.kafka.clients import LoopBound
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.commits import Commits, NoCommits
from stream_processors.backends.log.kafka.offsets import BrokerOffsets, PartitionEnds
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.reader import PartitionReader


class KafkaFrameLog:
    """Used from any event loop, between `async with`. Partitions are connected to when they are first read.

    No consumer group: who counts a partition is settled elsewhere, and two may read the same one.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        topic: str,
        partitions: int,
        policy: KafkaPolicy | None = None,
        commits: Commits | None = None,
    ) -> None:
        self._cluster = cluster
        self._topic = topic
        self._policy = policy or KafkaPolicy()
        self._commits = commits or NoCommits()
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

    async def first_offset(self, partition: int) -> int:
        """The lowest offset still held; where nothing is held, the next one to be given."""
        return await self._clients_loop.run(lambda: self._offsets.first(partition))

    async def read(self, partition: int, start: int, *, max_bytes: int, last: int | None = None) -> Sequence[Frame]:
        """Frames from `start` on: up to `last`, or as many as fit."""
        if last is None:
            return await self._clients_loop.run(lambda: self._read_available(partition, start, max_bytes))
        return await self._clients_loop.run(lambda: self._read_claimed(partition, start, last))

    async def acknowledge(self, partition: int, last: int) -> None:
        """Everything up to `last` is counted. Nothing is deleted by that: the topic's retention does it in its time."""
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
        self._commits.counted_up_to(partition, last + 1)

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Return when there is a frame at or after `start`, at the latest after `timeout` seconds."""
        await self._clients_loop.run(lambda: self._ends.wait(partition, start, timeout))

    async def refresh_ends(self) -> None:
        """Hear from the brokers where all partitions end, for `end_offset`. Whoever waits or reads need not ask."""
        await self._clients_loop.run(self._ends.refresh)

    def end_offset(self, partition: int) -> int:
        """The next offset to be given, as last heard."""
        return self._ends.last_known(partition)

    async def oldest_arrival(self, partition: int, start: int) -> int | None:
        """When the first frame at or after `start` arrived; None if there is none."""
        # Whoever watches the lag asks again and again while a flush is under way, and the reader has moved on.
        offset, arrival = self._arrivals.get(partition, (None, None))
        if offset == start:
            return arrival
        return await self._clients_loop.run(lambda: self._arrival(partition, start))

    async def _arrival(self, partition: int, start: int) -> int | None:
        end = await self._end_after(partition, start)
        async with self._reader_at(partition, start) as reader:
            frame = await reader.peek(end)
        if frame is None:
            self._ends.note_empty(partition, start, end)
            return None
        self._arrivals[partition] = (start, frame.arrival)
        return frame.arrival

    async def _read_available(self, partition: int, start: int, max_bytes: int) -> Sequence[Frame]:
        """The first frame whatever its size, and those after it that fit into `max_bytes` together."""
        frames: list[Frame] = []
        room = max_bytes
        passed, end = start, await self._end_after(partition, start)
        async with self._reader_at(partition, start) as reader:
            while passed < end:
                while (frame := await reader.peek(end)) is not None:
                    size = len(frame.payload) if frames else 0
                    if size > room:
                        return frames
                    room -= size
                    frames.append(reader.take())
                passed, end = end, await self._ends.refresh_one(partition)
        if not frames:
            self._ends.note_empty(partition, start, end)
        return frames

    async def _read_claimed(self, partition: int, start: int, last: int) -> Sequence[Frame]:
        """All of them: whoever claimed them has seen them."""
        # Brokers that have just changed places may be slow to say how far they reach. Only then is a shorter log true.
        await self._ends.wait(partition, last, self._policy.call_seconds)
        end = await self._end_after(partition, last)
        frames: list[Frame] = []
        async with self._reader_at(partition, start) as reader:
            while await reader.peek(min(end, last + 1)) is not None:
                frames.append(reader.take())
        return frames

    async def _end_after(self, partition: int, start: int) -> int:
        """The end as last heard, where that is beyond `start`; else as it is now. Raises StoreFailed."""
        end = self._ends.last_known(partition)
        return end if end > start else await self._ends.refresh_one(partition)

    @asynccontextmanager
    async def _reader_at(self, partition: int, start: int) -> AsyncIterator[PartitionReader]:
        """The partition's reader, ours alone for a while."""
        if partition not in self._readers:
            self._readers[partition] = PartitionReader(self._cluster, self._topic, partition, self._policy)
        reader = self._readers[partition]
        async with reader.lock:
            await reader.seek(start)
            yield reader
