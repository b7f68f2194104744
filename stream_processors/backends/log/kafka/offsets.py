"""First and end offsets of partitions as the brokers report them, and waiting for an end to advance."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from schemas.errors import StoreFailed
from stream_processors.backends.log.kafka.clients import close_client
from stream_processors.backends.log.kafka.cluster import KafkaCluster, translate_errors
from stream_processors.backends.log.kafka.metadata import TopicDescription, find_topic
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.tail import Tail

_SHORTEST_CALL_SECONDS = 1.0
"""The time limit for fetching a partition's end, however short the wait."""


class BrokerOffsets:
    """Fetches offsets through one client. Belongs to one event loop, between `open` and `close`."""

    def __init__(self, cluster: KafkaCluster, topic: str, policy: KafkaPolicy) -> None:
        self._cluster = cluster
        self._topic = topic
        self._policy = policy
        self._client: AIOKafkaConsumer | None = None

    async def open(self) -> None:
        client = AIOKafkaConsumer(**self._cluster.arguments(self._policy.call_seconds), enable_auto_commit=False)
        try:
            with translate_errors(self._cluster, self._topic):
                await asyncio.wait_for(client.start(), self._policy.call_seconds)
        except BaseException:
            await close_client(client, self._policy.call_seconds)
            raise
        self._client = client

    async def close(self) -> None:
        if self._client is not None:
            await close_client(self._client, self._policy.call_seconds)

    async def first(self, partition: int) -> int:
        """The lowest offset still held."""
        place = TopicPartition(self._topic, partition)
        with translate_errors(self._cluster, self._topic):
            async with asyncio.timeout(self._policy.call_seconds):
                offsets: Mapping[TopicPartition, int] = await self._require_open().beginning_offsets([place])
        return offsets[place]

    async def ends(self, partitions: Iterable[int], seconds: float | None = None) -> Mapping[int, int]:
        """The next offset to be assigned in each partition."""
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        with translate_errors(self._cluster, self._topic):
            async with asyncio.timeout(self._policy.call_seconds if seconds is None else seconds):
                offsets: Mapping[TopicPartition, int] = await self._require_open().end_offsets(places)
        return {place.partition: end for place, end in offsets.items()}

    async def describe(self) -> TopicDescription:
        """The topic as the brokers describe it now. Raises StoreFailed if there is none at the moment."""
        with translate_errors(self._cluster, self._topic):
            async with asyncio.timeout(self._policy.call_seconds):
                found = await find_topic(self._require_open()._client, self._topic)  # noqa: SLF001 - it has no such call
                if found is None:
                    raise UnknownTopicOrPartitionError(self._topic)
        return found

    def _require_open(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise StoreFailed("the log is not open: it is used between `async with`")
        return self._client


class PartitionEnds:
    """The last known ends, and the waiters for more: one request serves all of them."""

    def __init__(self, offsets: BrokerOffsets, partitions: int, poll_seconds: float) -> None:
        self._offsets = offsets
        self._partitions = partitions
        self._poll_seconds = poll_seconds
        self._tail = Tail(partitions)
        self._awaited: Counter[int] = Counter()
        self._empty: dict[int, tuple[int, int]] = {}
        self._polling: asyncio.Task[None] | None = None

    def last_known(self, partition: int) -> int:
        return self._tail.end(partition)

    async def refresh(self, partitions: Iterable[int] | None = None, seconds: float | None = None) -> None:
        """Fetches the ends of all partitions, or of some. Raises StoreFailed."""
        chosen = range(self._partitions) if partitions is None else partitions
        self._tail.advance(await self._offsets.ends(chosen, seconds))

    async def refresh_one(self, partition: int) -> int:
        await self.refresh([partition])
        return self._tail.end(partition)

    def record_empty(self, partition: int, start: int, end: int) -> None:
        """No offset from `start` up to `end` holds a frame: these offsets wake no waiter."""
        self._empty[partition] = (start, end)

    async def wait(self, partition: int, start: int, timeout: float) -> None:  # noqa: ASYNC109 (the port's word)
        """Returns when the partition's end is past `start`, at the latest after `timeout` seconds.

        Raises StoreFailed when the brokers cannot be reached, so that an outage is never taken for the end of the log.
        """
        empty_from, empty_to = self._empty.get(partition, (0, 0))
        if empty_from <= start < empty_to:
            start = empty_to
        if self._tail.end(partition) > start:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.refresh([partition], max(timeout, _SHORTEST_CALL_SECONDS))
        self._awaited[partition] += 1
        try:
            if self._polling is None or self._polling.done():
                self._polling = asyncio.create_task(self._poll())
            await self._tail.wait(partition, start, max(timeout - (loop.time() - began), 0))
        finally:
            self._awaited[partition] -= 1

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])

    async def _poll(self) -> None:
        while awaited := [partition for partition, waiting in self._awaited.items() if waiting > 0]:
            with suppress(StoreFailed):  # the next `wait` raises it
                await self.refresh(awaited)
            await asyncio.sleep(self._poll_seconds)
