"""The log of a cluster, opened: a topic that is the one it should be, read by all and written by gateways."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from schemas.hashing import HASH_NAME
from schemas.logger import Logger
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.topic import Topic, TopicDifference, check_topic
from stream_processors.backends.sql.identity import StoreIdentity
from tallyhouse.cluster.addresses import brokers_of
from tallyhouse.runtime.cluster_settings import ClusterSettings


def topic_of(settings: ClusterSettings) -> Topic:
    return Topic(
        name=settings.kafka_topic,
        partitions=settings.partitions,
        replication_factor=settings.kafka_replication,
        min_insync_replicas=settings.kafka_min_insync,
        retention=settings.kafka_retention,
    )


async def identify_log(settings: ClusterSettings) -> tuple[StoreIdentity, Sequence[TopicDifference]]:
    """Which log this is, and what should be mended about it."""
    checked = await check_topic(brokers_of(settings), topic_of(settings))
    identity = StoreIdentity(partitions=settings.partitions, hash_name=HASH_NAME, log_id=checked.identity.log_id)
    return identity, checked.differences


async def identify_log_and_warn(settings: ClusterSettings, logger: Logger) -> StoreIdentity:
    """The same for a process that goes on: what should be mended is told to the logs."""
    identity, differences = await identify_log(settings)
    for difference in differences:
        logger.warning("the log's topic is not as it should be", difference=str(difference))
    return identity


@asynccontextmanager
async def open_log(settings: ClusterSettings, policy: KafkaPolicy | None = None) -> AsyncIterator[KafkaFrameLog]:
    """For reading."""
    log = KafkaFrameLog(brokers_of(settings), settings.kafka_topic, settings.partitions, policy)
    async with log:
        yield log
