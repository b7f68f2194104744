"""Tells Kafka how far each partition is counted, so that Kafka's own tools show the lag."""

import asyncio
from types import TracebackType
from typing import Protocol, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_processors.backends.log.kafka.clients import close_consumer
from stream_processors.backends.log.kafka.cluster import CLIENT_ERRORS, KafkaCluster
from stream_processors.backends.log.kafka.policy import KafkaPolicy


class Commits(Protocol):
    """Whoever wants to know how far partitions are counted."""

    def counted_up_to(self, partition: int, offset: int) -> None:
        """Every frame below `offset` is counted."""
        ...


class NoCommits:
    """The store knows, and nobody else asks."""

    def counted_up_to(self, partition: int, offset: int) -> None:
        """Forget it."""


class GroupCommits:
    """The offsets of a consumer group without members, written now and then. Nothing of ours ever reads them.

    They may lag, so what fails is tried again with the next ones. The group must not be that of a stream processor:
    Kafka lets nobody else commit for a group that has members.
    """

    def __init__(
        self, cluster: KafkaCluster, topic: str, group: str, partitions: int, policy: KafkaPolicy | None = None
    ):
        self._cluster = cluster
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._group = group
        self._policy = policy or KafkaPolicy()
        self._counted: dict[TopicPartition, int] = {}
        self._client: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_committing())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._commit()
        if self._client is not None:
            await close_consumer(self._client, self._policy.call_seconds)

    def counted_up_to(self, partition: int, offset: int) -> None:
        """Any thread may say so."""
        self._counted[self._places[partition]] = offset

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(self._policy.commit_seconds)
            await self._commit()

    async def _commit(self) -> None:
        counted, self._counted = self._counted, {}
        if not counted:
            return
        try:
            async with asyncio.timeout(self._policy.call_seconds):
                client = await self._connected()
                await client.commit(counted)
        except CLIENT_ERRORS:
            self._counted = counted | self._counted

    async def _connected(self) -> AIOKafkaConsumer:
        if self._client is None:
            client = AIOKafkaConsumer(
                **self._cluster.arguments(self._policy.call_seconds), group_id=self._group, enable_auto_commit=False
            )
            try:
                await client.start()
            except BaseException:
                await close_consumer(client, self._policy.call_seconds)
                raise
            client.assign(self._places)
            client.pause(*self._places)
            self._client = client
        return self._client
