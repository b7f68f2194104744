"""The topic that is the log: creates it, and checks its settings."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaClient
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from schemas.errors import IdentityChanged, Misconfigured
from schemas.timestamps import DAY
from stream_processors.backends.log.identity import LogIdentity
from stream_processors.backends.log.kafka.cluster import KafkaCluster, translate_errors
from stream_processors.backends.log.kafka.metadata import TopicDescription, find_topic
from stream_processors.backends.log.kafka.policy import FRAME_BYTES
from stream_processors.backends.log.policy import MEBIBYTE

_CALL_SECONDS = 20.0
_POLL_SECONDS = 0.02
_UNLIMITED = 2**63 - 1
_ENVELOPE_BYTES = 10_000
_SEGMENT_BYTES = 256 * MEBIBYTE


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """The required name, size and settings of the log's topic."""

    name: str
    partitions: int
    replication_factor: int = 3
    min_insync_replicas: int = 2
    """An acknowledged frame is on at least this many brokers."""
    retention: int = 14 * DAY
    """How long frames are kept, in microseconds. After a longer outage of the processors events are lost uncounted."""

    def settings(self) -> Mapping[str, str]:
        """The topic settings as Kafka names them."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention // 1000),
            "retention.bytes": "-1",
            "min.insync.replicas": str(self.min_insync_replicas),
            "unclean.leader.election.enable": "false",
            "compression.type": "producer",
            "max.message.bytes": str(FRAME_BYTES + _ENVELOPE_BYTES),
            "segment.bytes": str(_SEGMENT_BYTES),
            "message.timestamp.type": "CreateTime",
            # No arrival is refused, whatever a clock shows: an accepted event must be appended.
            "message.timestamp.before.max.ms": str(_UNLIMITED),
            "message.timestamp.after.max.ms": str(_UNLIMITED),
        }


_REASONS = {
    "cleanup.policy": "compaction would delete frames that were never counted",
    "retention.ms": "frames that retention deletes before they are counted are lost",
    "retention.bytes": "a limit by size deletes frames that were never counted",
    "min.insync.replicas": "this many brokers must have a frame before it is acknowledged",
    "unclean.leader.election.enable": "a leader that lags behind would drop acknowledged frames",
    "compression.type": "payloads are compressed already; the brokers should not do it again",
    "max.message.bytes": "the largest frame must fit",
    "segment.bytes": "the largest frame must fit into a segment",
    "message.timestamp.type": "retention must go by the arrival the gateway has stamped",
    "message.timestamp.before.max.ms": "frames of a gateway whose clock is behind would be refused",
    "message.timestamp.after.max.ms": "frames of a gateway whose clock is ahead would be refused",
}


class TopicDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of the topic that differs from the required one."""

    what: str
    found: str
    wanted: str
    why: str
    remedy: str
    """The command that fixes it."""

    def __str__(self) -> str:
        return f"{self.what} is {self.found}, not {self.wanted}: {self.why}. To mend it: {self.remedy}"


class CheckedTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A usable topic, and the differences that should be fixed."""

    identity: LogIdentity
    differences: Sequence[TopicDifference]


async def create_topic(cluster: KafkaCluster, topic: Topic) -> bool:
    """Creates the topic. Returns False if it exists already: check it then. Raises Misconfigured."""
    wanted = NewTopic(topic.name, topic.partitions, topic.replication_factor, topic_configs=dict(topic.settings()))
    deleted = await _find(cluster, topic.name)
    async with _admin(cluster, topic.name) as admin:
        response = await admin.create_topics([wanted], timeout_ms=int(_CALL_SECONDS * 1000))
    for _, code, message in response.topic_errors:
        error = for_code(code)
        if error is TopicAlreadyExistsError:
            # Perhaps created by another process a moment ago.
            await _wait_until_known(cluster, topic.name, None)
            return False
        if error is not NoError:
            reason = message or error.__name__
            raise Misconfigured([f"topic {topic.name!r} cannot be created at {cluster.servers}: {reason}"])
    await _wait_until_known(cluster, topic.name, deleted)
    return True


async def _wait_until_known(cluster: KafkaCluster, name: str, deleted: TopicDescription | None) -> None:
    """Waits for the brokers: they learn later than the controller of a new topic, and of the end of a deleted one."""
    async with _client(cluster, name) as client:
        while await find_topic(client, name) in (None, deleted):  # noqa: ASYNC110 - the change happens on another machine
            await asyncio.sleep(_POLL_SECONDS)


async def check_topic(cluster: KafkaCluster, topic: Topic, *, may_have_grown: bool = False) -> CheckedTopic:
    """Raises IdentityChanged if the number of partitions differs, Misconfigured if there is no such topic.

    With `may_have_grown`, a larger number passes: `require_same_partitions` keeps frames out of such a topic, while
    those that are in it are counted.
    """
    found = await describe_topic(cluster, topic.name)
    where = f"topic {topic.name!r} at {cluster.servers}"
    if found.partitions < topic.partitions or not may_have_grown:
        require_same_partitions(found, topic.partitions, where)
    async with _admin(cluster, topic.name) as admin:
        settings = await _settings_of(admin, topic.name)
    differences = [*_replication(cluster, topic, found), *_differences(cluster, topic, settings)]
    return CheckedTopic(identity=LogIdentity(log_id=found.log_id, partitions=topic.partitions), differences=differences)


def require_same_log(found: TopicDescription, expected: LogIdentity, where: str) -> None:
    """Raises IdentityChanged if the topic was deleted and created again since `expected` was read."""
    if found.log_id != expected.log_id:
        raise IdentityChanged(
            f"{where} was deleted and created again: its id is {found.log_id}, and the usage was counted from "
            f"{expected.log_id}. Frames that were not counted before the deletion are lost with the old topic; what is "
            "appended to the new one would be skipped as counted, so posts are refused and counting has stopped. Keep "
            "the usage store, stop all gateways and workers, and start a new log in a new topic with a new "
            "TALLYHOUSE_CLICKHOUSE_DATABASE: the run book (deploy/README.md) says how under 'A new log'."
        )


def require_same_partitions(found: TopicDescription, expected: int, where: str) -> None:
    """Raises IdentityChanged if the topic has another number of partitions than the settings say."""
    if found.partitions == expected:
        return
    fixed = (
        f"{where} has {found.partitions} partitions, TALLYHOUSE_PARTITIONS says {expected}. The number is fixed for "
        "the life of the data: an event's partition is its key's hash modulo this number, so with another one a retry "
        "would no longer meet its earlier self, and count twice. "
    )
    if found.partitions < expected:
        raise IdentityChanged(
            f"{fixed}If the data was made with {found.partitions}, set TALLYHOUSE_PARTITIONS to that. For more, start "
            "a new log in a new topic: the run book (deploy/README.md) says how under 'A new log'."
        )
    raise IdentityChanged(
        f"{fixed}If the data was made with {found.partitions}, set TALLYHOUSE_PARTITIONS to that. If it was made with "
        f"{expected}, the topic was given more later, and a topic cannot shrink: leave the setting as it is. Posts are "
        f"refused; the workers go on counting the first {expected} partitions, which hold every frame. When "
        "`tallyhouse status` shows no lag, start a new log in a new topic: the run book (deploy/README.md) says how "
        "under 'A new log'."
    )


async def describe_topic(cluster: KafkaCluster, name: str) -> TopicDescription:
    """The topic as the brokers describe it. Raises Misconfigured if there is none."""
    found = await _find(cluster, name)
    if found is None:
        raise Misconfigured(
            [f"topic {name!r} does not exist at {cluster.servers}: `tallyhouse topics create` makes it"]
        )
    return found


async def _find(cluster: KafkaCluster, name: str) -> TopicDescription | None:
    async with _client(cluster, name) as client:
        return await find_topic(client, name)


def _replication(cluster: KafkaCluster, topic: Topic, found: TopicDescription) -> Iterator[TopicDifference]:
    if found.replication_factor == topic.replication_factor:
        return
    yield TopicDifference(
        what="replication factor",
        found=str(found.replication_factor),
        wanted=str(topic.replication_factor),
        why="this many brokers keep each frame, and all but one of them may be lost",
        remedy=f"kafka-reassign-partitions.sh --bootstrap-server {cluster.servers} --execute "
        "--reassignment-json-file FILE, where FILE lists the replicas of each partition",
    )


def _differences(cluster: KafkaCluster, topic: Topic, found: Mapping[str, str]) -> Iterator[TopicDifference]:
    for name, wanted in topic.settings().items():
        actual = found.get(name, "(unknown to this broker)")
        if actual != wanted and not _is_harmless(name, actual, wanted):
            yield TopicDifference(
                what=name,
                found=actual,
                wanted=wanted,
                why=_REASONS[name],
                remedy=f"kafka-configs.sh --bootstrap-server {cluster.servers} --alter --entity-type topics "
                f"--entity-name {topic.name} --add-config {name}={wanted}",
            )


def _is_harmless(name: str, actual: str, wanted: str) -> bool:
    """Longer retention, larger messages and larger segments do no harm."""
    if name not in ("retention.ms", "max.message.bytes", "segment.bytes"):
        return False
    return _amount(actual) >= _amount(wanted)


def _amount(text: str) -> float:
    """The number; infinity for -1, which means no limit."""
    number = int(text) if text.lstrip("-").isdigit() else 0
    return math.inf if number == -1 else number


async def _settings_of(admin: AIOKafkaAdminClient, name: str) -> Mapping[str, str]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    resources: list[tuple[Any, ...]] = [resource for response in responses for resource in response.resources]
    for code, message, *_ in resources:
        if for_code(code) is not NoError:
            raise KafkaError(message)
    return {entry[0]: entry[1] for *_, entries in resources for entry in entries}


@asynccontextmanager
async def _client(cluster: KafkaCluster, topic: str) -> AsyncIterator[AIOKafkaClient]:
    """A connected client. Raises StoreFailed after a bounded time."""
    with translate_errors(cluster, topic):
        client = AIOKafkaClient(**cluster.arguments(_CALL_SECONDS))
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await client.bootstrap()
                yield client
        finally:
            await client.close()


@asynccontextmanager
async def _admin(cluster: KafkaCluster, topic: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """The library's client for administrative requests, with the same time limit."""
    with translate_errors(cluster, topic):
        admin = AIOKafkaAdminClient(**cluster.arguments(_CALL_SECONDS))
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await admin.start()
                yield admin
        finally:
            await admin.close()
