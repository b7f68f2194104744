"""Reads a topic's id from Kafka, which the client library's own requests do not return."""

from typing import Any

import msgspec
from aiokafka import AIOKafkaClient
from aiokafka.errors import NoError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_UUID_BYTES = 16
_NO_ID = bytes(_UUID_BYTES)


class TopicDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as the brokers describe it."""

    cluster_id: str
    topic_id: str
    partitions: int
    replication_factor: int
    """The number of replicas of the partition that has the fewest."""

    @property
    def log_id(self) -> str:
        """A topic that is deleted and created again under the same name has a different id."""
        return f"{self.cluster_id}/{self.topic_id}"


async def find_topic(client: AIOKafkaClient, topic: str) -> TopicDescription | None:
    """None if there is no such topic; the request does not create it. Raises the client's errors."""
    response = await client.send(client.get_random_node(), _MetadataRequest(topic))
    (code, _, topic_id, _, partitions, _, _) = response.topics[0]
    error = for_code(code)
    if error is UnknownTopicOrPartitionError:
        return None
    if error is not NoError:
        raise error(topic)
    return TopicDescription(
        cluster_id=response.cluster_id,
        topic_id=topic_id.hex(),
        partitions=len(partitions),
        replication_factor=min(len(replicas) for _, _, _, _, replicas, *_ in partitions),
    )


# mypy sees no types in the library: its classes are Any to it.
class _Uuid(AbstractType):  # type: ignore[misc] # see above
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: Any) -> bytes:
        found: bytes = data.read(_UUID_BYTES)
        return found


class _MetadataResponse(Response):  # type: ignore[misc] # see above
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest12(RequestStruct):  # type: ignore[misc] # see above
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequest12]):  # type: ignore[misc] # see above
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: Any) -> Any:
        # The request must not create the topic, whatever the brokers are configured to do.
        return request_struct_class([(_NO_ID, self._topic, {})], False, False, {})
