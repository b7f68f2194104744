"""A broker that is stopped, killed or paused has every message it acknowledged, and is gone when nobody wants it."""

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
    """Returns when all are acknowledged."""
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


def test_what_is_shared_serves(real_broker: str, topic_name: Callable[[], str]) -> None:
    """The broker all tests share takes messages and gives them back."""
    topic = topic_name()

    async def there_and_back() -> list[bytes]:
        await make_topic(real_broker, topic)
        await send(real_broker, topic, MESSAGES)
        return await received(real_broker, topic, len(MESSAGES))

    assert asyncio.run(there_and_back()) == MESSAGES


def test_acknowledged_messages_survive_a_crash(killable_broker: PausableKafkaBroker) -> None:
    """Killed with -9 and started again, the broker is at the same address and has every message it acknowledged."""
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
    """Paused, the broker answers nothing, and resumed, it goes on."""
    killable_broker.pause()
    assert not answers(killable_broker)
    killable_broker.resume()
    deadline = time.monotonic() + 30
    while not answers(killable_broker):
        assert time.monotonic() < deadline


def test_a_broker_is_shared_and_ends_with_the_last_of_its_users(tmp_path: Path, runtime: KafkaInstallation) -> None:
    """A folder's broker is shared by all who open it; it runs on when one of them is killed, and ends with the last."""
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


def test_no_broker_outlives_its_keeper(killable_broker: PausableKafkaBroker) -> None:
    """When the keeper is killed, its broker goes with it; the next start finds nothing in its way."""
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
    """A broker that is to have a port that is taken says so, and where its whole log is."""
    port = int(killable_broker.bootstrap.split(":")[1])
    second = KafkaBroker(tmp_path / "second", runtime, SystemRandom(), port=port)
    with pytest.raises(ProgramFailed, match=f"(?s){port}.*Address already in use.*{second.log}"), second:
        pass
    assert second.pid is None


def test_a_container_has_the_same_settings() -> None:
    """The image is told all that a local node is told, under the names it asks for."""
    environment = variables("docker.example", 20_001)
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://docker.example:20001"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert len(environment) == len(SETTINGS) + 3
