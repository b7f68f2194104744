"""Connections to the log, the usage store and the ledger of a cluster, opened together."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from rating.ledger.ledger import Ledger, open_ledger
from rating.ledger.migrate import require_newest
from schemas.errors import IdentityChanged, Misconfigured, StoreFailed
from schemas.hashing import HASH_NAME
from schemas.logger import Logger
from stream_processors.backends.log.identity import LogIdentity
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.foreign import ForeignRecords
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.topic import Topic, TopicDifference, check_topic
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.identity import StoreIdentity, read_identity
from tallyhouse.cluster.store import ClusterStore, open_servers, open_store
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.startup import Runtime


def brokers_of(settings: ClusterSettings) -> KafkaCluster:
    return KafkaCluster(
        servers=",".join(settings.kafka_brokers),
        tls=settings.kafka_tls,
        ca_file=None if settings.kafka_ca_file is None else str(settings.kafka_ca_file),
        sasl_mechanism=settings.kafka_sasl,
        user=settings.kafka_user,
        password=settings.kafka_password,
    )


def topic_of(settings: ClusterSettings) -> Topic:
    return Topic(
        name=settings.kafka_topic,
        partitions=settings.partitions,
        replication_factor=settings.kafka_replication,
        min_insync_replicas=settings.kafka_min_insync,
        retention=settings.kafka_retention,
    )


async def identify_log(
    settings: ClusterSettings, *, may_have_grown: bool = False
) -> tuple[StoreIdentity, Sequence[TopicDifference]]:
    """The identity of the log, and how its topic differs from the settings. Raises IdentityChanged.

    With `may_have_grown`, the topic may have more partitions than the settings say.
    """
    try:
        checked = await check_topic(brokers_of(settings), topic_of(settings), may_have_grown=may_have_grown)
    except IdentityChanged as error:
        raise IdentityChanged(f"{error} {await asyncio.to_thread(_partitions_of_data, settings)}") from error
    identity = StoreIdentity(partitions=settings.partitions, hash_name=HASH_NAME, log_id=checked.identity.log_id)
    return identity, checked.differences


def _partitions_of_data(settings: ClusterSettings) -> str:
    """A sentence about the number of partitions that the usage store's data was made with."""
    database = settings.clickhouse_database
    try:
        with open_servers(settings, EngineLimits(statement_seconds=2)) as servers:
            stored = read_identity(servers[0].database("default"), database)
    except (StoreFailed, Misconfigured):
        return f"(The usage store, which knows what the data of {database!r} was made with, does not answer.)"
    if stored is None:
        return f"(There is no data in {database!r} yet.)"
    return f"(The data in {database!r} was made with {stored.partitions} partitions.)"


async def identify_log_and_warn(settings: ClusterSettings, logger: Logger) -> StoreIdentity:
    """The identity of the log. Logs a warning for each difference between its topic and the settings."""
    # The store's own identity, which is checked next, says whether the settings are right.
    identity, differences = await identify_log(settings, may_have_grown=True)
    for difference in differences:
        logger.warning("the log's topic is not as it should be", difference=str(difference))
    return identity


@asynccontextmanager
async def open_log(
    settings: ClusterSettings, identity: StoreIdentity, foreign: ForeignRecords, policy: KafkaPolicy | None = None
) -> AsyncIterator[KafkaFrameLog]:
    """Opens the log of this identity for reading."""
    log = KafkaFrameLog(
        brokers_of(settings),
        settings.kafka_topic,
        settings.partitions,
        policy,
        expected=LogIdentity(log_id=identity.log_id, partitions=identity.partitions),
        foreign=foreign,
    )
    async with log:
        yield log


class Connections(NamedTuple):
    """The log, the usage store and the ledger: what the processes of a cluster share."""

    log: KafkaFrameLog
    store: ClusterStore
    ledger: Ledger


async def open_connections(
    opened: AsyncExitStack, settings: ClusterSettings, runtime: Runtime, reading: KafkaPolicy
) -> Connections:
    """Opens all three, or none if one of them fails; they close with `opened`."""
    async with AsyncExitStack() as attempt:
        identity = await identify_log_and_warn(settings, runtime.logger)
        store = attempt.enter_context(open_store(settings, identity))
        foreign = ForeignRecords(store.set_aside, logger=runtime.logger, metrics=runtime.metrics)
        log = await attempt.enter_async_context(open_log(settings, identity, foreign, reading))
        ledger = attempt.enter_context(open_ledger(settings.ledger_url, runtime.clock, prepare=require_newest))
        opened.push_async_exit(attempt.pop_all())
        return Connections(log, store, ledger)
