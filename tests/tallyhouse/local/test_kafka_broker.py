"""A broker keeps every acknowledged message when it is stopped, killed or paused, and ends with its last user."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tallyhouse.local.background_program import ProgramFailed
from tallyhouse.local.kafka_broker import KafkaBroker, probe_cluster_id
from tallyhouse.local.kafka_jars import KafkaInstallation
from tallyhouse.local.kafka_node import SETTINGS
from tests.backing_services.kafka import PausableKafkaBroker, variables

MESSAGES = [f"message {number}".encode() for number in range(200)]
HOLDER = """
import os, sys
from pathlib import Path
from tests.backing_services.kafka import local_broker
with local_broker(Path(sys.argv[1]), os.environ, print) as broker:
    print(broker.pid, flush=True)
    sys.stdin.read()
"""


async def make_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def send(bootstrap: str, topic: str, messages: list[bytes]) -> None:
    """Sends the messages and waits until all are acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        await asyncio.gather(*[await producer.send(topic, message, partition=0) for message in messages])


async def received(bootstrap: str, topic: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await asyncio.wait_for(consumer.getone(), 30)).value for _ in range(count)]


def answers(broker: KafkaBroker) -> bool:
    host, port = broker.bootstrap.split(":")
    return probe_cluster_id(host, int(port)) is not None


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_the_shared_broker_stores_messages(real_broker: str, topic_name: Callable[[], str]) -> None:
    topic = topic_name()

    async def round_trip() -> list[bytes]:
        await make_topic(real_broker, topic)
        await send(real_broker, topic, MESSAGES)
        return await received(real_broker, topic, len(MESSAGES))

    assert asyncio.run(round_trip()) == MESSAGES


def test_acknowledged_messages_survive_a_crash(killable_broker: PausableKafkaBroker) -> None:
    """Killed and restarted, the broker is at the same address and has every acknowledged message."""
    address = killable_broker.bootstrap
    asyncio.run(make_topic(address, "kept"))
    asyncio.run(send(address, "kept", MESSAGES))
    killable_broker.kill()
    assert killable_broker.pid is None
    killable_broker.start()
    assert killable_broker.bootstrap == address
    asyncio.run(send(address, "kept", MESSAGES))
    assert asyncio.run(received(address, "kept", 2 * len(MESSAGES))) == MESSAGES * 2


def test_a_paused_broker_is_silent_until_it_resumes(killable_broker: PausableKafkaBroker) -> None:
    killable_broker.pause()
    assert not answers(killable_broker)
    killable_broker.resume()
    deadline = time.monotonic() + 30
    while not answers(killable_broker):
        assert time.monotonic() < deadline


@pytest.mark.long
def test_a_broker_is_shared_and_ends_with_the_last_of_its_users(tmp_path: Path, runtime: KafkaInstallation) -> None:
    """All processes that open the folder share its broker, which survives a kill of one and ends with the last."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        with KafkaBroker(tmp_path, runtime, SystemRandom()) as shared:
            assert shared.pid == pid
            holder.kill()
            holder.wait()
            assert answers(shared)
            assert shared.pid == pid
        assert shared.pid is None
    wait_until_gone(pid)


@pytest.mark.long
def test_no_broker_outlives_its_watchdog(killable_broker: PausableKafkaBroker) -> None:
    """A killed watchdog takes its broker along, and the next start succeeds."""
    pid = killable_broker.pid
    assert pid is not None
    watchdog = int((killable_broker.log.parent / "running").read_text().split()[0])
    os.kill(watchdog, signal.SIGKILL)
    wait_until_gone(pid)
    killable_broker.start()
    assert killable_broker.pid not in {None, pid}


def test_a_taken_port_is_named(
    killable_broker: PausableKafkaBroker, tmp_path: Path, runtime: KafkaInstallation
) -> None:
    """The error names the port and the log."""
    port = int(killable_broker.bootstrap.split(":")[1])
    second = KafkaBroker(tmp_path / "second", runtime, SystemRandom(), port=port)
    with pytest.raises(ProgramFailed, match=f"(?s){port}.*Address already in use.*{second.log}"), second:
        pass
    assert second.pid is None


def test_a_container_has_the_same_settings() -> None:
    """The image gets all settings of a local node, as environment variables."""
    environment = variables("docker.example", 20_001)
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://docker.example:20001"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert len(environment) == len(SETTINGS) + 3
