"""`tallyhouse topics`: making the log's topic, and telling what about it is not as it should be."""

import asyncio
from collections.abc import Sequence

from stream_processors.backends.log.kafka.topic import create_topic
from tallyhouse.cluster.addresses import brokers_of
from tallyhouse.cluster.connections import identify, topic_of
from tallyhouse.cluster.startup import begin


def run_create() -> bool:
    """False where it is there already."""
    settings, _ = begin()
    return asyncio.run(create_topic(brokers_of(settings), topic_of(settings)))


def run_check() -> Sequence[str]:
    """What should be mended. Raises IdentityChanged where the number of partitions differs."""
    settings, _ = begin()
    _, differences = asyncio.run(identify(settings))
    return [str(difference) for difference in differences]
