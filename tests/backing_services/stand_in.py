"""What stands in for a broker where none can be had: librdkafka's mock, which speaks the protocol and no more."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

LIMITS = "it cannot make or describe topics, keep records over a restart, or be killed: tests of that are skipped"


@contextmanager
def stand_in() -> Iterator[str]:
    """Its address; it lives as long as the client that it is a part of."""
    owner = Producer({"bootstrap.servers": "ignored:1", "test.mock.num.brokers": 1, "log_level": 0})
    [broker] = owner.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    owner.flush(1)
