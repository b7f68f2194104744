"""The Faust path alone: how fast a worker takes frames in, and what a second worker adds.

"Alone" is from Kafka through Faust and our buffer to a flush that takes its frames and acknowledges them. "With
counting" adds the flush itself, with the five meters of the load and all but the store, whose place takes one that
keeps nothing but claims and receipts. Only frames that were fetched after the start count, but all must be through.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path

from schemas.frame import NewFrame
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.kafka.topic import Topic, create_topic
from tallyhouse.local.kafka_broker import local_broker
from tests.bench.cluster.faust_process import FaustProcess, WorkerReport, WorkerTask
from tests.bench.cluster.payloads import payloads
from tests.bench.cluster.pipeline import Print
from tests.bench.figures import Figure, TotalsDiffer
from tests.server_process import wait_until

FRAME_EVENTS = 200
PARTITIONS = 4
_TOPIC = "faust"
_AT_ONCE = 64
"""Frames in one append."""
_PATIENCE = 600.0


def measure(folder: Path, events: int, tell: Print) -> list[Figure]:
    """One topic, read by fresh groups again and again."""
    with local_broker(folder / "kafka", os.environ, tell) as broker:
        tell(f"filling a topic with {events:,} events")
        filled = asyncio.run(_fill(KafkaCluster(servers=broker.bootstrap), events))
        figures: list[Figure] = []
        for counts, name in ((False, "alone"), (True, "with counting")):
            rates = []
            for workers in (1, 2):
                tell(f"the Faust path {name}, {workers} processes")
                tasks = [_task(broker.bootstrap, f"{name[:4]}-{workers}", counts=counts)] * workers
                reports = _run(tasks)
                _check(reports, events, filled, counts=counts)
                figures.append(_figure(f"Faust path {name}, worker processes: {workers}", reports, counts=counts))
                rates.append(figures[-1].value)
            figures.append(Figure(name=f"Faust path {name}, 2 over 1", value=rates[1] / rates[0], unit="times"))
    return figures


def _task(servers: str, group: str, *, counts: bool) -> WorkerTask:
    return WorkerTask(servers=servers, topic=_TOPIC, partitions=PARTITIONS, group=group, counts=counts)


async def _fill(cluster: KafkaCluster, events: int) -> int:
    """How many bytes of payload that makes."""
    await create_topic(cluster, Topic(name=_TOPIC, partitions=PARTITIONS, replication_factor=1, min_insync_replicas=1))
    total = 0
    async with KafkaSink(cluster, _TOPIC) as sink:
        frames = _frames(events)
        while some := list(islice(frames, _AT_ONCE)):
            await sink.append(some)
            total += sum(len(frame.payload) for frame in some)
    return total


def _frames(events: int) -> Iterator[NewFrame]:
    arrival = time.time_ns() // 1000
    for number, payload in zip(count(), payloads(events, FRAME_EVENTS), strict=False):
        yield NewFrame(partition=number % PARTITIONS, arrival=arrival, payload=payload)


def _run(tasks: Sequence[WorkerTask]) -> list[WorkerReport]:
    with ExitStack() as running:
        processes = [running.enter_context(FaustProcess(task)) for task in tasks]
        share = PARTITIONS // len(processes)
        wait_until(
            "every worker to have its share",
            lambda: all(len(process.owned()) == share for process in processes),
            _PATIENCE,
        )
        for process in processes:
            process.go()
        return [_through(process) for process in processes]


def _through(process: FaustProcess) -> WorkerReport:
    deadline = time.monotonic() + _PATIENCE
    while (report := process.report()) is None:
        if time.monotonic() > deadline:
            raise TotalsDiffer(f"after {_PATIENCE:.0f} s a worker still owns {process.owned()} and is not through")
        time.sleep(0.1)
    return report


def _check(reports: Sequence[WorkerReport], events: int, filled: int, *, counts: bool) -> None:
    """Between them they have had every frame exactly once."""
    frames = sum(each.frames for each in reports)
    if frames != events // FRAME_EVENTS:
        raise TotalsDiffer(f"{events // FRAME_EVENTS} frames were appended, {frames} were taken")
    found, expected = (
        (sum(each.events for each in reports), events)
        if counts
        else (sum(each.frame_bytes for each in reports), filled)
    )
    if found != expected:
        raise TotalsDiffer(f"{expected} {'events' if counts else 'bytes'} were appended, {found} came through")


def _figure(name: str, reports: Sequence[WorkerReport], *, counts: bool) -> Figure:
    seconds = max(each.ended for each in reports) - min(each.began for each in reports)
    events = sum(each.fetched for each in reports) * FRAME_EVENTS
    through = sum(each.frames for each in reports) * FRAME_EVENTS
    return Figure(
        name=name,
        value=events / seconds,
        unit="events/s",
        target=None if counts else 300_000.0 * len(reports),
        details={
            "seconds": seconds,
            "events_fetched": events,
            "processor_microseconds_per_event": [
                each.processor_seconds / (each.frames * FRAME_EVENTS) * 1e6 for each in reports
            ],
            "events_through": through,
            "events_handed_over": sum(each.handed for each in reports) * FRAME_EVENTS,
            "peak_memory": [each.peak_memory for each in reports],
        },
    )
