"""The consumer's thread ends, and leaves no connection open, however its client ends."""

import asyncio
from collections.abc import Callable, Iterable

import pytest
from aiokafka import AIOKafkaConsumer

from stream_processors.backends.log.buffered import Stream
from stream_processors.backends.log.frame_buffer import DeliveredFrame
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.topic import Topic, create_topic
from stream_processors.workers.faust_app import build_app
from stream_processors.workers.faust_settings import StreamSettings

pytestmark = pytest.mark.anyio

DEADLINE = 60.0
PARTITIONS = 2


class AwaitedAssignments:
    """Knows when the first partitions are assigned."""

    def __init__(self) -> None:
        self.are_assigned = asyncio.Event()

    async def assigned(self, partitions: Iterable[int], stream: Stream) -> None:
        self.are_assigned.set()

    async def revoked(self, partitions: Iterable[int]) -> None:
        pass

    def push(self, delivered: DeliveredFrame) -> None:
        pass

    def push_gap(self, partition: int, offset: int, acknowledge: Callable[[], object]) -> None:
        pass


async def test_a_stop_that_is_cancelled_half_way_closes_every_connection(
    real_broker: str, topic_name: Callable[[], str]
) -> None:
    """The client's stop cancels a fetch that waits before it is retried, and takes its end for its own cancellation."""
    cluster, name = KafkaCluster(servers=real_broker), topic_name()
    await create_topic(cluster, Topic(name=name, partitions=PARTITIONS, replication_factor=1, min_insync_replicas=1))
    assignments = AwaitedAssignments()
    app = build_app(StreamSettings(cluster=cluster, topic=name, group=name), assignments, PARTITIONS)
    await app.start()
    thread = app.consumer._thread  # type: ignore[attr-defined] # there is no other way to the client
    client = thread._consumer._client
    async with asyncio.timeout(DEADLINE):
        await assignments.are_assigned.wait()
        connections = list(client._conns.values())
        waiting = asyncio.run_coroutine_threadsafe(_wait_in_a_fetch(thread._consumer), thread.thread_loop)
        await asyncio.wrap_future(waiting)
        await app.stop()
    assert connections
    assert not any(connection.connected() for connection in connections)
    assert thread.thread_loop.is_closed()


async def _wait_in_a_fetch(consumer: AIOKafkaConsumer) -> None:
    """Adds a task that waits to the client's fetches, as there is one after a connection was lost."""
    consumer._fetcher._pending_tasks.add(asyncio.create_task(asyncio.sleep(DEADLINE)))
