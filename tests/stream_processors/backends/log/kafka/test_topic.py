"""The log's topic gets the required settings; a difference is reported with its reason and the command to mend it."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from schemas.errors import IdentityChanged, Misconfigured, Overloaded, StoreFailed
from schemas.timestamps import DAY
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.kafka.topic import Topic, check_topic, create_topic
from tests.contracts.frame_log import eventually, new_frame
from tests.stream_processors.backends.log.kafka.topic_logs import new_topic, one_broker_topic


@pytest.fixture
def cluster(real_broker: str) -> KafkaCluster:
    return KafkaCluster(servers=real_broker)


@pytest.mark.anyio
async def test_a_created_topic_has_the_required_settings(cluster: KafkaCluster) -> None:
    """Creating it a second time changes nothing."""
    topic = await new_topic(cluster)
    found = await check_topic(cluster, topic)
    assert found.differences == []
    assert found.identity.partitions == topic.partitions
    assert not await create_topic(cluster, topic)
    assert await check_topic(cluster, topic) == found


@pytest.mark.anyio
async def test_another_number_of_partitions_is_refused(cluster: KafkaCluster) -> None:
    """A retried event would no longer meet its own key: the error says so, and what to do in either case."""
    topic = await new_topic(cluster, 3)
    for wanted, advice in (
        (4, "If the data was made with 3, set TALLYHOUSE_PARTITIONS to that. For more, start a new log"),
        (2, "If it was made with 2, the topic was given more later, and a topic cannot shrink: leave the setting"),
    ):
        with pytest.raises(IdentityChanged, match=rf"count twice. .*{advice}"):
            await check_topic(cluster, Topic(name=topic.name, partitions=wanted))
    with pytest.raises(IdentityChanged):
        await check_topic(cluster, Topic(name=topic.name, partitions=4), may_have_grown=True)
    grown = await check_topic(cluster, Topic(name=topic.name, partitions=2), may_have_grown=True)
    assert grown.identity.partitions == 2


@pytest.mark.anyio
async def test_a_topic_that_is_altered_while_it_is_read_is_noticed(cluster: KafkaCluster) -> None:
    """More partitions keep new frames out; another topic of the same name is neither read nor appended to."""
    topic = await new_topic(cluster, 2)
    expected = (await check_topic(cluster, topic)).identity
    admin = AIOKafkaAdminClient(**cluster.arguments(5))
    async with (
        KafkaFrameLog(cluster, topic.name, topic.partitions, expected=expected) as log,
        KafkaSink(cluster, topic.name, verify=log.verify_for_appends) as sink,
    ):
        await sink.append([new_frame(payload=b"%d" % number) for number in range(3)])
        await admin.start()
        try:
            await admin.create_partitions({topic.name: NewPartitions(3)})

            async def has_grown() -> bool:
                try:
                    await log.verify_for_appends()
                except IdentityChanged as error:
                    assert "a topic cannot shrink" in str(error)  # noqa: PT017 - the loop waits for the error
                    return True
                return False

            await eventually(has_grown)
            await log.verify()
            assert [frame.offset for frame in await log.read(0, 0, max_bytes=100)] == [0, 1, 2]
            await admin.delete_topics([topic.name])
            assert await create_topic(cluster, topic)
        finally:
            await admin.close()
        with pytest.raises(Overloaded):
            await sink.append([new_frame(payload=b"%d" % number) for number in range(9)])
        with pytest.raises(IdentityChanged, match="was deleted and created again"):
            await log.verify()
        for reading in (log.first_offset(0), log.refresh_ends(), log.read(0, 0, max_bytes=100)):
            with pytest.raises(IdentityChanged):
                await reading


@pytest.mark.anyio
async def test_a_recreated_topic_is_another_log(cluster: KafkaCluster) -> None:
    """It has the same name on the same cluster, but its offsets mean nothing in the first log."""
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
async def test_every_difference_is_reported_with_its_remedy(cluster: KafkaCluster) -> None:
    """A topic created with other settings differs in several ways, each reported in one line with a command.

    Creating it again waits until the brokers know it, and changes nothing.
    """
    topic = one_broker_topic()
    admin = AIOKafkaAdminClient(**cluster.arguments(5))
    await admin.start()
    settings = {"cleanup.policy": "compact", "retention.ms": "1000", "message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(topic.name, topic.partitions, 1, topic_configs=settings)])
    await admin.close()
    assert not await create_topic(cluster, topic)
    differences = {found.what: found for found in (await check_topic(cluster, topic)).differences}
    assert {"cleanup.policy", "retention.ms", "message.timestamp.type", "max.message.bytes"} <= set(differences)
    assert "min.insync.replicas" not in differences
    assert "kafka-configs.sh" in differences["retention.ms"].remedy
    assert f"--entity-name {topic.name} --add-config retention.ms={topic.retention // 1000}" in str(
        differences["retention.ms"]
    )


@pytest.mark.anyio
async def test_too_few_replicas_are_reported(cluster: KafkaCluster) -> None:
    """One broker cannot keep three replicas."""
    topic = await new_topic(cluster)
    wanted = Topic(name=topic.name, partitions=topic.partitions, retention=topic.retention)
    differences = [found.what for found in (await check_topic(cluster, wanted)).differences]
    assert differences == ["replication factor", "min.insync.replicas"]
    with pytest.raises(Misconfigured, match="cannot be created"):
        await create_topic(cluster, Topic(name=topic.name + "-replicas", partitions=1))


@pytest.mark.anyio
async def test_keeping_frames_longer_is_no_difference(cluster: KafkaCluster) -> None:
    """Only a shorter retention is reported."""
    topic = await new_topic(cluster)
    shorter = Topic(
        name=topic.name, partitions=topic.partitions, replication_factor=1, min_insync_replicas=1, retention=DAY
    )
    assert (await check_topic(cluster, shorter)).differences == []


@pytest.mark.anyio
async def test_errors_name_a_missing_topic_or_broker(cluster: KafkaCluster) -> None:
    """The error says how to create the topic, or which address was tried."""
    with pytest.raises(Misconfigured, match=r"'nobody-made-this' does not exist.*topics create"):
        await check_topic(cluster, Topic(name="nobody-made-this", partitions=1))
    with pytest.raises(StoreFailed, match=r"127\.0\.0\.1:1"):
        await check_topic(KafkaCluster(servers="127.0.0.1:1"), Topic(name="any", partitions=1))


def test_passwords_are_not_shown() -> None:
    """The representation of the cluster shows the user, never the password."""
    cluster = KafkaCluster(servers="broker:9092", sasl_mechanism="PLAIN", user="tally", password="secret")
    assert "secret" not in f"{cluster} {cluster!r}"
    assert cluster.arguments(5)["sasl_plain_password"] == "secret"
    assert cluster.arguments(5)["security_protocol"] == "SASL_PLAINTEXT"
