"""`tallyhouse topics`: making the log's topic, and telling what about it is not as it should be."""

import asyncio
from collections.abc import Sequence

from stream_processors.backends.log.kafka.topic import create_topic
from tallyhouse.cluster.addresses import brokers_of
from tallyhouse.cluster.connections import identify_log, topic_of
from tallyhouse.cluster.startup import start_process


def run_create_topic() -> bool:
    """False where it is there already."""
    settings, _ = start_process()
    return asyncio.run(create_topic(brokers_of(settings), topic_of(settings)))


def run_check() -> Sequence[str]:
    """What should be mended. Raises IdentityChanged where the number of partitions differs."""
    settings, _ = start_process()
    _, differences = asyncio.run(identify_log(settings))
    return [str(difference) for difference in differences]
