"""A Faust worker over a null store, in a process of its own that takes commands on its standard input."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.flush import Table
from schemas.meter import Meter
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.faust_partitions import OwnedPartitions
from stream_processors.workers.faust_settings import StreamSettings
from stream_processors.workers.faust_worker import FaustWorker
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff
from tallyhouse.load.expected_usage import METERS, meter_body
from tallyhouse.runtime import memory
from tests.bench.cluster.controlled_steps import CountedFrames, GatedSteps, TakingSteps
from tests.bench.cluster.null_store import NullStore
from tests.bench.machine import peak_memory
from tests.factories import ACCOUNT, NOW
from tests.killable_process import KillableProcess
from tests.stream_processors.in_memory_pipeline import ChangingMeters

_LONG_SECONDS = 60.0
"""Longer than a run: a rebalance in the middle would distort the figure. So would frames read past the stream, which a
partition does after `poll_seconds` without a delivery."""

_POLICY = WorkerPolicy(poll_seconds=_LONG_SECONDS)


class WorkerTask(msgspec.Struct, frozen=True, kw_only=True):
    """The topic to read, and whether the worker counts frames or only acknowledges them."""

    servers: str
    topic: str
    partitions: int
    group: str
    counts: bool


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker consumed after the gate opened. Times are in monotonic seconds."""

    frames: int
    """In all of the worker's partitions."""
    delivered: int
    """Frames that came by the stream; the worker read the others from the log itself."""
    fetched: int
    """Frames of `delivered` that came after the gate opened."""
    events: int
    """Rows of the table `events`; 0 without counting."""
    frame_bytes: int
    """Bytes of the payloads taken; 0 with counting."""
    began: float
    ended: float
    processor_seconds: float
    peak_memory: int


class FaustProcess(KillableProcess):
    """Takes one command at a time."""

    def __init__(self, task: WorkerTask) -> None:
        super().__init__()
        self._task = task

    def launch(self) -> subprocess.Popen[str]:
        task = msgspec.json.encode(self._task).decode()
        return subprocess.Popen(
            [sys.executable, "-m", __name__, task], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def owned(self) -> Sequence[int]:
        return msgspec.json.decode(self._send("owned"), type=list[int])

    def open_gate(self) -> None:
        self._send("open_gate")

    def report(self) -> WorkerReport | None:
        """Returns None until every frame is consumed."""
        return msgspec.json.decode(self._send("report"), type=WorkerReport | None)

    def _send(self, command: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return str(self._process.stdout.readline())


class BenchWorker:
    """The worker, and the answers to its commands."""

    def __init__(self, task: WorkerTask, log: KafkaFrameLog) -> None:
        self._counts = task.counts
        self._partition_count = task.partitions
        self._log = log
        self._frames = CountedFrames(log)
        self._store = NullStore()
        self._meters = ChangingMeters()
        for meter in METERS:
            self._meters.add(
                msgspec.convert({**meter_body(meter), "account": ACCOUNT, "version": 1, "created_at": NOW}, Meter)
            )
        self._gate = asyncio.Event()
        self._steps: dict[int, GatedSteps] = {}
        self._delivered_before = 0
        self._began = self._spent_before = 0.0
        self._owned = OwnedPartitions(self._frames, self._driver, lambda: (), revoke_seconds=0.1)
        self._stream = StreamSettings(
            cluster=KafkaCluster(servers=task.servers),
            topic=task.topic,
            group=task.group,
            session_seconds=_LONG_SECONDS,
            revoke_seconds=0.1,
        )

    def worker(self) -> FaustWorker:
        return FaustWorker(
            self._stream,
            self._owned,
            _POLICY,
            partition_count=self._partition_count,
            refresh_ends=self._log.refresh_ends,
        )

    def answer(self, command: str) -> Any:
        return {"owned": self._numbers, "open_gate": self._open_gate, "report": self._report}[command]()

    def _numbers(self) -> Sequence[int]:
        return sorted(self._owned._drivers)

    def _open_gate(self) -> None:
        self._delivered_before = self._frames.delivered
        self._began, self._spent_before = time.monotonic(), time.process_time()
        self._gate.set()

    def _report(self) -> WorkerReport | None:
        owned = [self._steps[number] for number in self._numbers()]
        frames = sum(each.position.offset if each.position else 0 for each in owned)
        if frames < sum(self._log.end_offset(number) for number in self._numbers()):
            return None
        return WorkerReport(
            frames=frames,
            delivered=self._frames.delivered,
            fetched=self._frames.delivered - self._delivered_before,
            events=self._store.rows[Table.EVENTS],
            frame_bytes=sum(each.steps.frame_bytes for each in owned if isinstance(each.steps, TakingSteps)),
            began=self._began,
            ended=max(each.ended for each in owned),
            processor_seconds=time.process_time() - self._spent_before,
            peak_memory=peak_memory(os.getpid()),
        )

    def _driver(self, number: int) -> PartitionDriver:
        steps = GatedSteps(self._counting(number) if self._counts else TakingSteps(number, self._frames), self._gate)
        self._steps[number] = steps
        return PartitionDriver(steps, self._frames, _POLICY, clock=_stopped_clock)

    def _counting(self, number: int) -> Partition:
        store = self._store
        ports = FlushPorts(
            log=self._frames, claims=store, tables=store, seen=store, meters=self._meters, pause=exponential_backoff
        )
        return Partition(number, ports, FlushPolicy())


def _stopped_clock() -> int:
    """Frames never age, so that a flush lingers as it does when the workers keep up."""
    return 0


async def _work(task: WorkerTask) -> None:
    async with KafkaFrameLog(KafkaCluster(servers=task.servers), task.topic, task.partitions) as log:
        work = BenchWorker(task, log)
        worker = work.worker()
        memory.freeze_garbage_collector()
        running = asyncio.create_task(worker.run())
        commands = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        async for line in commands:
            print(msgspec.json.encode(work.answer(line.decode().strip())).decode(), flush=True)
        worker.stop()
        await running


if __name__ == "__main__":
    asyncio.run(_work(msgspec.json.decode(sys.argv[1], type=WorkerTask)))
