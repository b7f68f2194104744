"""Without a real broker a mock serves and says so, unless a real one is required."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tallyhouse.local.background_program import ToolMissing
from tests.backing_services.kafka import best_broker

NOTHING_INSTALLED = {"PATH": ""}


def test_a_mock_serves_and_says_that_it_is_one(tmp_path: Path) -> None:
    """Without Java, messages go to librdkafka's mock; one line says so, and names what it cannot do."""
    printed: list[str] = []

    async def send(bootstrap: str) -> int:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
            return int((await producer.send_and_wait("any", b"message", partition=0)).offset)

    with best_broker(tmp_path, NOTHING_INSTALLED, printed.append, docker=False, only_real=False) as shared:
        assert asyncio.run(send(shared.bootstrap)) == 0
        assert isinstance(shared.missing, ToolMissing)
    [line] = printed
    assert "NOT the real one" in line
    assert "Java is missing" in line


def test_a_mock_is_not_used_where_tests_must_not_be_skipped(tmp_path: Path) -> None:
    """A missing Java is an error there."""
    choice = best_broker(tmp_path, NOTHING_INSTALLED, print, docker=False, only_real=True)
    with pytest.raises(ToolMissing, match="Java"), choice:
        pass
