"""`tallyhouse topics`: making the log's topic, and telling what about it is not as it should be."""

import asyncio
from collections.abc import Sequence

from ingest_gateway.cluster.addresses import brokers_of
from ingest_gateway.cluster.log import identify, topic_of
from ingest_gateway.cluster.process import begin
from stream_processors.backends.log.kafka_topic import create_topic


def run_create() -> bool:
    """False where it is there already."""
    settings, _ = begin()
    return asyncio.run(create_topic(brokers_of(settings), topic_of(settings)))


def run_check() -> Sequence[str]:
    """What should be mended. Raises IdentityChanged where the number of partitions differs."""
    settings, _ = begin()
    _, differences = asyncio.run(identify(settings))
    return [str(difference) for difference in differences]
