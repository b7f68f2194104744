"""Measures how fast one Faust worker consumes frames, and what a second worker adds.

"Alone" is the path from Kafka through Faust and the frame buffer to a flush that only acknowledges its frames. "With
counting" adds the whole flush with the five meters of the load, over a store that keeps only claims and receipts. The
rate counts the frames fetched after the start; the check counts all of them.
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
from tests.backing_services.kafka import local_broker
from tests.bench.cluster.faust_process import FaustProcess, WorkerReport, WorkerTask
from tests.bench.cluster.payloads import payloads
from tests.bench.cluster.pipeline import Print
from tests.bench.figures import Figure, TotalsDiffer
from tests.server_process import wait_until

FRAME_EVENTS = 200
PARTITIONS = 4
_TOPIC = "faust"
_FRAMES_PER_APPEND = 64
_TIMEOUT = 600.0


def measure(folder: Path, events: int, progress: Print) -> list[Figure]:
    """Fills one topic, which every run reads in a new consumer group."""
    with local_broker(folder / "kafka", os.environ, progress) as broker:
        progress(f"filling a topic with {events:,} events")
        filled = asyncio.run(_fill(KafkaCluster(servers=broker.bootstrap), events))
        figures: list[Figure] = []
        for counts, name in ((False, "alone"), (True, "with counting")):
            rates = []
            for workers in (1, 2):
                progress(f"the Faust path {name}, {workers} processes")
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
    """Returns the bytes of all payloads."""
    await create_topic(cluster, Topic(name=_TOPIC, partitions=PARTITIONS, replication_factor=1, min_insync_replicas=1))
    total = 0
    async with KafkaSink(cluster, _TOPIC) as sink:
        frames = _frames(events)
        while some := list(islice(frames, _FRAMES_PER_APPEND)):
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
            "every worker to own its share of the partitions",
            lambda: all(len(process.owned()) == share for process in processes),
            _TIMEOUT,
        )
        for process in processes:
            process.open_gate()
        return [_wait_for_report(process) for process in processes]


def _wait_for_report(process: FaustProcess) -> WorkerReport:
    deadline = time.monotonic() + _TIMEOUT
    while (report := process.report()) is None:
        if time.monotonic() > deadline:
            raise TotalsDiffer(f"after {_TIMEOUT:.0f} s a worker still owns {process.owned()} and has not finished")
        time.sleep(0.1)
    return report


def _check(reports: Sequence[WorkerReport], events: int, filled: int, *, counts: bool) -> None:
    """Raises TotalsDiffer unless the workers together took every frame once."""
    frames = sum(report.frames for report in reports)
    if frames != events // FRAME_EVENTS:
        raise TotalsDiffer(f"{events // FRAME_EVENTS} frames were appended, {frames} were taken")
    found, expected = (
        (sum(report.events for report in reports), events)
        if counts
        else (sum(report.frame_bytes for report in reports), filled)
    )
    if found != expected:
        raise TotalsDiffer(f"{expected} {'events' if counts else 'bytes'} were appended, {found} were consumed")


def _figure(name: str, reports: Sequence[WorkerReport], *, counts: bool) -> Figure:
    seconds = max(report.ended for report in reports) - min(report.began for report in reports)
    events = sum(report.fetched for report in reports) * FRAME_EVENTS
    consumed = sum(report.frames for report in reports) * FRAME_EVENTS
    return Figure(
        name=name,
        value=events / seconds,
        unit="events/s",
        target=None if counts else 300_000.0 * len(reports),
        details={
            "seconds": seconds,
            "events_fetched": events,
            "processor_microseconds_per_event": [
                report.processor_seconds / (report.frames * FRAME_EVENTS) * 1e6 for report in reports
            ],
            "events_consumed": consumed,
            "events_delivered": sum(report.delivered for report in reports) * FRAME_EVENTS,
            "peak_memory": [report.peak_memory for report in reports],
        },
    )
