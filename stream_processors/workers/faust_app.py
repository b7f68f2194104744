"""The Faust app: hands over the frames of the partitions that the consumer group assigns. It has no state."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import faust
from faust.types import TP, EventT, StreamT
from faust.types.auth import CredentialsT
from faust.types.core import HeadersArg

from schemas.frame import Frame
from stream_processors.backends.log.buffered import Stream
from stream_processors.backends.log.frame_buffer import DeliveredFrame
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.records import RecordFields, read_record
from stream_processors.workers.faust_consumer import FrameTransport
from stream_processors.workers.faust_settings import StreamSettings

_MAX_POLL_SECONDS = 7 * 24 * 3600.0
"""Buffers may stay full for as long as the store is down. A worker that left the group over that would not return:
it rejoins only when it fetches."""

_METADATA_MAX_AGE_MILLISECONDS = 5_000
"""How often the client refreshes the list of partitions. A broker that has just restarted may not know them yet, and
assigns none: the next refresh finds them. The client's default is five minutes."""

_QUEUE_FRAMES = 4096
"""The queue between Faust's fetcher and the agent, which takes each frame at once: the queue is nearly empty."""


class PartitionAssignments(Protocol):
    """The consumer of the app's frames."""

    async def assigned(self, partitions: Iterable[int], stream: Stream) -> None: ...

    async def revoked(self, partitions: Iterable[int]) -> None:
        """Returns after a bounded time, when none of the partitions is being processed."""
        ...

    def push(self, delivered: DeliveredFrame) -> None: ...

    def push_gap(self, partition: int, offset: int, acknowledge: Callable[[], object]) -> None:
        """Takes note of a record that is no frame."""
        ...


class DisklessApp(faust.App):
    """An app without tables, which needs no folders, and whose consumer always ends."""

    def _create_directories(self) -> None:
        pass

    def _new_transport(self) -> FrameTransport:
        return FrameTransport(self.conf.broker_consumer, self)


def build_app(settings: StreamSettings, partitions: PartitionAssignments, partition_count: int) -> faust.App:
    """A new app, not started. A crashed app cannot be restarted; build another.

    Of a topic that was given more partitions, those from `partition_count` on are left alone: no gateway writes there.
    """
    app = DisklessApp(settings.group, **_configuration(settings))
    app.boot_strategy.enable_kafka_producer = False  # Nothing is sent to Kafka from here.
    topic = app.topic(settings.topic, key_serializer="raw", value_serializer="raw", value_type=bytes)
    stream = FaustFlowControl(app, settings.topic)

    async def hand_over(frames: StreamT[bytes]) -> None:
        # `take` would acknowledge in a `finally`, and lose the frames of a failed flush.
        async for event in cast("faust.Stream[bytes]", frames).noack().events():
            _push(event, partitions, partition_count)

    async def on_assigned(_sender: Any, *assigned: Any, **_more: Any) -> None:
        await partitions.assigned(_numbers(partition_count, *assigned), stream)

    async def on_revoked(_sender: Any, *revoked: Any, **_more: Any) -> None:
        await partitions.revoked(_numbers(partition_count, *revoked))

    app.agent(topic, name="frames")(hand_over)
    app.on_partitions_assigned.connect(on_assigned)  # type: ignore[arg-type] # its alias leaves a type variable open
    app.on_partitions_revoked.connect(on_revoked)  # type: ignore[arg-type] # the same
    return app


class FaustFlowControl:
    """Pauses and resumes the fetching of a partition, as Faust does for a full queue.

    Faust's `pause_partitions` would drop frames that are fetched and not yet handed over.
    """

    def __init__(self, app: faust.App, topic: str) -> None:
        self._app = app
        self._topic = topic

    def pause(self, partition: int) -> None:
        self._app.consumer.on_buffer_full(TP(self._topic, partition))

    def resume(self, partition: int) -> None:
        self._app.consumer.on_buffer_drop(TP(self._topic, partition))


def _push(event: EventT[bytes], partitions: PartitionAssignments, partition_count: int) -> None:
    message = event.message
    fields = RecordFields(
        message.partition, message.offset, _pairs(message.headers), message.value, int(message.timestamp * 1000)
    )
    record = read_record(fields, partition_count)
    if isinstance(record, Frame):
        partitions.push(DeliveredFrame(frame=record, acknowledge=event.ack))
    else:
        # The flush misses it and reads the log itself, which steps over the record or raises the alarm.
        partitions.push_gap(record.partition, record.offset, event.ack)


def _pairs(headers: HeadersArg | None) -> Iterable[tuple[str, bytes]]:
    return headers.items() if isinstance(headers, Mapping) else headers or ()


def _numbers(below: int, places: Iterable[TP]) -> list[int]:
    return sorted(place.partition for place in places if place.partition < below)


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
        # OwnedPartitions waits for flushes before a revocation, with a timeout.
        "stream_wait_empty": False,
        # Without tables and standby replicas Faust assigns partitions as any consumer group does.
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
