"""Measures appends to a real broker, as a gateway makes them, by events per frame."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from schemas.frame import NewFrame
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.kafka.topic import Topic, create_topic
from tests.backing_services.kafka import local_broker
from tests.bench.cluster.payloads import payloads
from tests.bench.cluster.pipeline import Print
from tests.bench.figures import Figure, TotalsDiffer

SIZES = (1, 10, 100, 1000)
PARTITIONS = 4
CONCURRENT_APPENDS = 4
"""Each append has a frame for every partition."""
_DISTINCT_PAYLOADS = 50
"""They are built in advance and used in turn, so that their cost is not measured."""


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one frame size."""

    frame_bytes: float
    frames: int
    seconds: float
    processor_seconds: float
    """CPU time of this process: the sink and its Kafka client."""


def measure(folder: Path, seconds: float, progress: Print) -> list[Figure]:
    """Runs one broker for all frame sizes, with a topic for each size."""
    with local_broker(folder / "kafka", os.environ, progress) as broker:
        cluster = KafkaCluster(servers=broker.bootstrap)
        return [_figure(size, _appended(cluster, size, seconds, progress)) for size in SIZES]


def _figure(size: int, appended: Appended) -> Figure:
    rate = appended.frames / appended.seconds
    return Figure(
        name=f"appending to Kafka, {size:,} events a frame",
        value=rate * size,
        unit="events/s",
        details={
            "frames_per_second": rate,
            "bytes_per_frame": appended.frame_bytes,
            "sink_microseconds_per_frame": appended.processor_seconds / appended.frames * 1e6,
            "frames": appended.frames,
        },
    )


def _appended(cluster: KafkaCluster, size: int, seconds: float, progress: Print) -> Appended:
    progress(f"appending frames of {size:,} events for {seconds:.0f} s")
    return asyncio.run(_append(cluster, f"frames-{size}", list(payloads(_DISTINCT_PAYLOADS * size, size)), seconds))


async def _append(cluster: KafkaCluster, topic: str, different: Sequence[bytes], seconds: float) -> Appended:
    await create_topic(cluster, Topic(name=topic, partitions=PARTITIONS, replication_factor=1, min_insync_replicas=1))
    async with KafkaSink(cluster, topic) as sink:
        await sink.append(_one_each(different[0]))  # The first append connects.
        began, cpu = time.perf_counter(), time.process_time()
        until = began + seconds
        appends = sum(
            await asyncio.gather(*(_keep_appending(sink, different, until) for _ in range(CONCURRENT_APPENDS)))
        )
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    frames = appends * PARTITIONS
    await _check(cluster, topic, frames + PARTITIONS)
    mean = sum(map(len, different)) / len(different)
    return Appended(frame_bytes=mean, frames=frames, seconds=took, processor_seconds=cpu)


async def _keep_appending(sink: KafkaSink, different: Sequence[bytes], until: float) -> int:
    """Returns the number of appends."""
    appends = 0
    while time.perf_counter() < until:
        await sink.append(_one_each(different[appends % len(different)]))
        appends += 1
    return appends


def _one_each(payload: bytes) -> list[NewFrame]:
    arrival = time.time_ns() // 1000
    return [NewFrame(partition=number, arrival=arrival, payload=payload) for number in range(PARTITIONS)]


async def _check(cluster: KafkaCluster, topic: str, appended: int) -> None:
    async with KafkaFrameLog(cluster, topic, PARTITIONS) as log:
        stored = sum(log.end_offset(number) for number in range(PARTITIONS))
    if stored != appended:
        raise TotalsDiffer(f"{appended} frames were acknowledged, the topic {topic} holds {stored}")
