"""A Faust worker over a store that costs nothing, as a process of its own that is asked on its standard input."""

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

_PATIENT_SECONDS = 60.0
"""A membership that ended in the middle would spoil the figure, and so would frames read past the stream: a partition
that hears nothing of it for `poll_seconds` reads the log itself."""

_POLICY = WorkerPolicy(poll_seconds=_PATIENT_SECONDS)


class WorkerTask(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to read, and whether it counts or only takes and acknowledges."""

    servers: str
    topic: str
    partitions: int
    group: str
    counts: bool


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker did with its share, from the moment it was told to go."""

    frames: int
    """All of its partitions."""
    handed: int
    """How many of them the stream brought, `fetched` after that moment; what is missing was read past it."""
    fetched: int
    events: int
    """Rows of the table of events; 0 where nothing is counted."""
    frame_bytes: int
    """Of the payloads taken; 0 where they are counted."""
    began: float
    ended: float
    processor_seconds: float
    peak_memory: int


class FaustProcess(KillableProcess):
    """Asked one thing at a time."""

    def __init__(self, task: WorkerTask) -> None:
        super().__init__()
        self._task = task

    def launch(self) -> subprocess.Popen[str]:
        report = msgspec.json.encode(self._task).decode()
        return subprocess.Popen(
            [sys.executable, "-m", __name__, report], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def owned(self) -> Sequence[int]:
        return msgspec.json.decode(self._ask("owned"), type=list[int])

    def go(self) -> None:
        self._ask("go")

    def report(self) -> WorkerReport | None:
        """None while it is not through."""
        return msgspec.json.decode(self._ask("told"), type=WorkerReport | None)

    def _ask(self, word: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return str(self._process.stdout.readline())


class BenchWorker:
    """One worker's parts, and what it can tell of them."""

    def __init__(self, task: WorkerTask, log: KafkaFrameLog) -> None:
        self._counts = task.counts
        self._log = log
        self._frames = CountedFrames(log)
        self._store = NullStore()
        self._meters = ChangingMeters()
        for meter in METERS:
            self._meters.add(
                msgspec.convert({**meter_body(meter), "account": ACCOUNT, "version": 1, "created_at": NOW}, Meter)
            )
        self._gate = asyncio.Event()
        self._held_back: dict[int, GatedSteps] = {}
        self._handed_before = 0
        self._began = self._spent_before = 0.0
        self._owned = OwnedPartitions(self._frames, self._driver, lambda: (), revoke_seconds=0.1)
        self._stream = StreamSettings(
            cluster=KafkaCluster(servers=task.servers),
            topic=task.topic,
            group=task.group,
            session_seconds=_PATIENT_SECONDS,
            revoke_seconds=0.1,
        )

    def worker(self) -> FaustWorker:
        return FaustWorker(self._stream, self._owned, _POLICY, refresh_ends=self._log.refresh_ends)

    def answer(self, word: str) -> Any:
        return {"owned": self._numbers, "go": self._go, "told": self._told}[word]()

    def _numbers(self) -> Sequence[int]:
        return sorted(self._owned._drivers)

    def _go(self) -> None:
        self._handed_before = self._frames.delivered
        self._began, self._spent_before = time.monotonic(), time.process_time()
        self._gate.set()

    def _told(self) -> WorkerReport | None:
        mine = [self._held_back[number] for number in self._numbers()]
        frames = sum(each.position.offset if each.position else 0 for each in mine)
        if frames < sum(self._log.end_offset(number) for number in self._numbers()):
            return None
        return WorkerReport(
            frames=frames,
            handed=self._frames.delivered,
            fetched=self._frames.delivered - self._handed_before,
            events=self._store.rows[Table.EVENTS],
            frame_bytes=sum(each.steps.frame_bytes for each in mine if isinstance(each.steps, TakingSteps)),
            began=self._began,
            ended=max(each.ended for each in mine),
            processor_seconds=time.process_time() - self._spent_before,
            peak_memory=peak_memory(os.getpid()),
        )

    def _driver(self, number: int) -> PartitionDriver:
        steps = GatedSteps(self._counting(number) if self._counts else TakingSteps(number, self._frames), self._gate)
        self._held_back[number] = steps
        return PartitionDriver(steps, self._frames, _POLICY, clock=_no_time_passes)

    def _counting(self, number: int) -> Partition:
        store = self._store
        ports = FlushPorts(
            log=self._frames, claims=store, tables=store, seen=store, meters=self._meters, pause=exponential_backoff
        )
        return Partition(number, ports, FlushPolicy())


def _no_time_passes() -> int:
    """Frames never grow old, so that a flush waits for company as it does where the workers keep up."""
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
