"""The Faust app: a consumer group's share of the topic, handed over frame by frame. It keeps and decides nothing."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

import faust
from faust.types import TP, EventT, StreamT
from faust.types.auth import CredentialsT
from faust.types.core import HeadersArg
from mode.services import Service
from mode.threads import ServiceThread

from schemas.errors import Alarm
from schemas.logger import Logger
from stream_processors.backends.log.buffered import Stream
from stream_processors.backends.log.frame_buffer import DeliveredFrame
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.records import frame_of
from stream_processors.workers.faust_settings import StreamSettings

_MAX_POLL_SECONDS = 7 * 24 * 3600.0
"""Partitions may stand full for as long as the store is down. A worker that gave up its membership over that would
not come back: it rejoins only when it fetches."""

_METADATA_MAX_AGE_MILLISECONDS = 5_000
"""How often it asks which partitions there are. A broker that has just come back may not know them yet when it is asked
to hand them out, and hands out none: the next look finds them. The client's own measure is five minutes."""

_QUEUE_FRAMES = 4096
"""Frames between Faust's fetcher and us. We take each one at once, so it is all but empty."""


_EXECUTE_TASK = Service._execute_task.__name__  # noqa: SLF001
"""What a task of Faust's is called that does what another thread asked for."""


class PartitionAssignments(Protocol):
    """Whoever counts."""

    async def assigned(self, partitions: Iterable[int], stream: Stream) -> None: ...

    async def revoked(self, partitions: Iterable[int]) -> None:
        """Returns when nothing of them is being counted, after a bounded time."""
        ...

    def push(self, delivered: DeliveredFrame) -> None: ...


class DisklessApp(faust.App):
    """Without tables there is nothing to keep in folders."""

    def _create_directories(self) -> None:
        """None are needed."""


def build_app(settings: StreamSettings, partitions: PartitionAssignments, logger: Logger) -> faust.App:
    """A new app that has not started; one that has crashed is not started again, but built anew."""
    app = DisklessApp(settings.group, **_configuration(settings))
    app.boot_strategy.enable_kafka_producer = False  # Nothing is sent to Kafka from here.
    topic = app.topic(settings.topic, key_serializer="raw", value_serializer="raw", value_type=bytes)
    stream = FaustFlowControl(app, settings.topic)

    async def hand_over(frames: StreamT[bytes]) -> None:
        # `take` would acknowledge in a `finally`, and a flush that failed would be lost.
        async for event in cast("faust.Stream[bytes]", frames).noack().events():
            _push(event, partitions, logger)

    async def on_assigned(_sender: Any, *assigned: Any, **_more: Any) -> None:
        await partitions.assigned(_numbers(*assigned), stream)

    async def on_revoked(_sender: Any, *revoked: Any, **_more: Any) -> None:
        await partitions.revoked(_numbers(*revoked))

    app.agent(topic, name="frames")(hand_over)
    app.on_partitions_assigned.connect(on_assigned)  # type: ignore[arg-type] # its alias leaves a type variable open
    app.on_partitions_revoked.connect(on_revoked)  # type: ignore[arg-type] # the same
    return app


def abort_consumer(app: faust.App) -> None:
    """Break off whatever the app's own thread is at.

    Its last commit waits for the brokers as long as they are away. Left alone, the thread would hold up the end of the
    process, or be a member of the group, with partitions that nobody counts.
    """
    thread = app.consumer._thread  # type: ignore[attr-defined] # noqa: SLF001 - there is no other way to it
    if not thread.thread_loop.is_closed():
        thread.thread_loop.call_soon_threadsafe(_abort, thread)


def _abort(thread: ServiceThread) -> None:
    """What it was asked to do; its main task then ends in the orderly way."""
    thread._stopped.set()  # noqa: SLF001 - as its own `stop` does, which comes only after the last commit
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == _EXECUTE_TASK:
            task.cancel()


class FaustFlowControl:
    """Stops and goes on fetching a partition, as Faust's own full queues do.

    Its `pause_partitions` would drop what is fetched but not handed over yet.
    """

    def __init__(self, app: faust.App, topic: str) -> None:
        self._app = app
        self._topic = topic

    def pause(self, partition: int) -> None:
        self._app.consumer.on_buffer_full(TP(self._topic, partition))

    def resume(self, partition: int) -> None:
        self._app.consumer.on_buffer_drop(TP(self._topic, partition))


def _push(event: EventT[bytes], partitions: PartitionAssignments, logger: Logger) -> None:
    message = event.message
    try:
        frame = frame_of(message.partition, message.offset, _pairs(message.headers), message.value)
    except Alarm:
        # Left out: the flush misses it, reads the log itself, and raises the alarm where it stops the counting.
        logger.exception("a record in the log is no frame", partition=message.partition, offset=message.offset)
        return
    partitions.push(DeliveredFrame(frame=frame, acknowledge=event.ack))


def _pairs(headers: HeadersArg | None) -> Iterable[tuple[str, bytes]]:
    return headers.items() if isinstance(headers, Mapping) else headers or ()


def _numbers(places: Iterable[TP]) -> list[int]:
    return sorted(place.partition for place in places)


def _configuration(settings: StreamSettings) -> dict[str, Any]:
    cluster = settings.cluster
    return {
        "broker": ";".join(f"kafka://{server.strip()}" for server in cluster.servers.split(",")),
        "broker_credentials": _credentials(cluster),
        "broker_client_id": cluster.client_id,
        "broker_session_timeout": settings.session_seconds,
        "broker_heartbeat_interval": settings.heartbeat_seconds,
        "broker_commit_interval": settings.commit_seconds,
        "broker_max_poll_interval": _MAX_POLL_SECONDS,
        "broker_max_poll_records": settings.fetch_frames,
        "consumer_max_fetch_size": settings.fetch_bytes,
        "consumer_auto_offset_reset": "earliest",
        "consumer_metadata_max_age_ms": _METADATA_MAX_AGE_MILLISECONDS,
        "stream_buffer_maxsize": _QUEUE_FRAMES,
        # Waiting for acknowledgements before a revocation is ours to do, and bounded.
        "stream_wait_empty": False,
        # There are no tables, and without standby copies of them Faust assigns partitions as any consumer group does.
        "store": "memory://",
        "table_standby_replicas": 0,
        "web_enabled": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
    }


def _credentials(cluster: KafkaCluster) -> CredentialsT | None:
    arguments = cluster.arguments(call_seconds=0)
    if cluster.sasl_mechanism:
        return faust.SASLCredentials(
            username=cluster.user,
            password=cluster.password,
            mechanism=cluster.sasl_mechanism,
            ssl_context=arguments["ssl_context"],
        )
    return faust.SSLCredentials(arguments["ssl_context"]) if cluster.tls else None
