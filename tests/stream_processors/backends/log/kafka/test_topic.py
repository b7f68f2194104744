"""The log's topic is made as it must be; what differs is told with the command that mends it, and why it matters."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.errors import IdentityChanged, Misconfigured, StoreFailed
from schemas.timestamps import DAY
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.topic import Topic, check_topic, create_topic
from tests.stream_processors.backends.log.kafka.topic_logs import new_topic, one_broker_topic


@pytest.fixture
def cluster(real_broker: str) -> KafkaCluster:
    return KafkaCluster(servers=real_broker)


@pytest.mark.anyio
async def test_a_topic_that_was_made_here_is_as_it_must_be(cluster: KafkaCluster) -> None:
    """And making it again makes nothing."""
    topic = await new_topic(cluster)
    found = await check_topic(cluster, topic)
    assert found.differences == []
    assert found.identity.partitions == topic.partitions
    assert not await create_topic(cluster, topic)
    assert await check_topic(cluster, topic) == found


@pytest.mark.anyio
async def test_another_number_of_partitions_is_refused(cluster: KafkaCluster) -> None:
    """Keys would meet their earlier selves no more: the refusal says why, and which number to go back to."""
    topic = await new_topic(cluster, 3)
    with pytest.raises(IdentityChanged, match=r"count twice. Set the partitions back to 3"):
        await check_topic(cluster, Topic(name=topic.name, partitions=4))


@pytest.mark.anyio
async def test_a_topic_made_anew_is_another_log(cluster: KafkaCluster) -> None:
    """The same name on the same cluster, but offsets that mean nothing to whoever counted the first one."""
    topic = await new_topic(cluster)
    first = await check_topic(cluster, topic)
    admin = AIOKafkaAdminClient(**cluster.arguments(5))
    await admin.start()
    await admin.delete_topics([topic.name])
    await admin.close()
    assert await create_topic(cluster, topic)
    second = await check_topic(cluster, topic)
    assert first.identity.log_id != second.identity.log_id
    assert first.identity.log_id.split("/")[0] == second.identity.log_id.split("/")[0]


@pytest.mark.anyio
async def test_every_difference_comes_with_its_remedy(cluster: KafkaCluster) -> None:
    """What somebody else made differs in many ways, each told in one line with a command."""
    topic = one_broker_topic()
    admin = AIOKafkaAdminClient(**cluster.arguments(5))
    await admin.start()
    settings = {"cleanup.policy": "compact", "retention.ms": "1000", "message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(topic.name, topic.partitions, 1, topic_configs=settings)])
    await admin.close()
    differences = {found.what: found for found in (await check_topic(cluster, topic)).differences}
    assert {"cleanup.policy", "retention.ms", "message.timestamp.type", "max.message.bytes"} <= set(differences)
    assert "min.insync.replicas" not in differences
    assert "kafka-configs.sh" in differences["retention.ms"].remedy
    assert f"--entity-name {topic.name} --add-config retention.ms={topic.retention // 1000}" in str(
        differences["retention.ms"]
    )


@pytest.mark.anyio
async def test_too_few_copies_are_told(cluster: KafkaCluster) -> None:
    """One broker cannot keep three copies."""
    topic = await new_topic(cluster)
    wanted = Topic(name=topic.name, partitions=topic.partitions, retention=topic.retention)
    differences = [found.what for found in (await check_topic(cluster, wanted)).differences]
    assert differences == ["replication factor", "min.insync.replicas"]
    with pytest.raises(Misconfigured, match="cannot be made"):
        await create_topic(cluster, Topic(name=topic.name + "-copies", partitions=1))


@pytest.mark.anyio
async def test_keeping_frames_longer_is_no_difference(cluster: KafkaCluster) -> None:
    """Only less than what is needed is told."""
    topic = await new_topic(cluster)
    shorter = Topic(
        name=topic.name, partitions=topic.partitions, replication_factor=1, min_insync_replicas=1, retention=DAY
    )
    assert (await check_topic(cluster, shorter)).differences == []


@pytest.mark.anyio
async def test_a_topic_or_broker_that_is_not_there_is_named(cluster: KafkaCluster) -> None:
    """And how to make it, or where it was looked for."""
    with pytest.raises(Misconfigured, match=r"'nobody-made-this' is not there.*topics create"):
        await check_topic(cluster, Topic(name="nobody-made-this", partitions=1))
    with pytest.raises(StoreFailed, match=r"127\.0\.0\.1:1"):
        await check_topic(KafkaCluster(servers="127.0.0.1:1"), Topic(name="any", partitions=1))


def test_passwords_are_not_shown() -> None:
    """Whoever prints the cluster sees who logs in, and nothing more."""
    cluster = KafkaCluster(servers="broker:9092", sasl_mechanism="PLAIN", user="tally", password="secret")
    assert "secret" not in f"{cluster} {cluster!r}"
    assert cluster.arguments(5)["sasl_plain_password"] == "secret"
    assert cluster.arguments(5)["security_protocol"] == "SASL_PLAINTEXT"
