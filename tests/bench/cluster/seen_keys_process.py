"""Takes over a partition with many seen keys and flushes to it, in a process of its own to measure its memory."""

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pyarrow as pa

from schemas.flush import SeenRows
from schemas.frame import NewFrame, encode
from schemas.hashing import as_halves
from schemas.metrics import Counter, Histogram, NullMetrics
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.client import GuardedAsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.core.bloom import BloomFilter
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.policy import exponential_backoff
from tests.bench.cluster.payloads import batches
from tests.bench.machine import peak_memory
from tests.stream_processors.in_memory_pipeline import ChangingMeters

STATEMENTS = 4
FRESH = 50_000
KNOWN = FRESH // 100
FRAMES = 50
FLUSHES = 6
"""The first flush is not measured: it opens connections and fills caches."""

KNOWN_KEYS = """\
SELECT sipHash128(number * {stride:UInt64}) AS key_hash, sipHash64(number * {stride:UInt64}) AS body_hash
FROM numbers({number:UInt64})"""
"""Returns keys evenly spread over those that `seen_keys.FILL` inserts."""


class FlushTask(msgspec.Struct, frozen=True, kw_only=True):
    """The store's address, and the number of seen keys."""

    port: int
    database: str
    keys: int


class FlushReport(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, memory in bytes."""

    take_over_seconds: float
    filter_memory: int
    memory_before: int
    memory_after_take_over: int
    memory_at_the_end: int
    false_alarms: int
    accepted: int
    duplicates: int
    flush_seconds: float
    stages: dict[str, float]


class Sums(NullMetrics):
    """Sums flush seconds by stage, and events by verdict."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.verdicts: dict[str, float] = defaultdict(float)

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        if metric is Histogram.FLUSH_SECONDS:
            self.seconds[labels[0]] += value

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None:
        if metric is Counter.COUNTED:
            self.verdicts[labels[0]] += amount


class SeenKeyFlushes:
    """One partition with its log, and what its flushes cost."""

    def __init__(self, store: GuardedStore, known: SeenRows) -> None:
        self.log = MemoryFrameLog(1)
        self.sums = Sums()
        self.false_alarms = 0
        self._known = known
        ports = FlushPorts(
            log=self.log,
            claims=store,
            tables=store,
            seen=store,
            meters=ChangingMeters(),
            pause=exponential_backoff,
            metrics=self.sums,
        )
        self.partition = Partition(0, ports, FlushPolicy())

    @property
    def keys(self) -> BloomFilter:
        growing = self.partition._filter
        assert growing is not None
        return growing.keys

    async def flush(self, number: int) -> float:
        """Returns the seconds of a flush of fresh and known keys."""
        frames = list(batches(FRESH, FRESH // FRAMES, f"seen{number:04}"))
        fresh = as_halves(b"".join(key for frame in frames for key in frame.column("key_hash").to_pylist()))
        self.false_alarms += int(self.keys.may_contain(fresh).sum())
        known = _as_repeats(frames[0], self._known)
        await self.log.append(
            [NewFrame(partition=0, arrival=time.time_ns() // 1000, payload=encode(frame)) for frame in [*frames, known]]
        )
        began = time.perf_counter()
        while await self.partition.step():
            pass
        return time.perf_counter() - began


def _as_repeats(like: pa.RecordBatch, known: SeenRows) -> pa.RecordBatch:
    """Returns events with the keys and bodies of the known ones."""
    rows = like.slice(0, len(known.key_hashes)).to_pydict()
    rows |= {"key_hash": known.key_hashes, "body_hash": known.body_hashes}
    return pa.RecordBatch.from_pydict(rows, schema=like.schema)


async def _measure(store: GuardedStore, known: SeenRows) -> FlushReport:
    flushes = SeenKeyFlushes(store, known)
    before = peak_memory(os.getpid())
    began = time.perf_counter()
    await flushes.partition.boot()
    took = time.perf_counter() - began
    after = peak_memory(os.getpid())
    await flushes.flush(0)
    flushes.sums.seconds.clear()
    seconds = [await flushes.flush(number) for number in range(1, FLUSHES)]
    return FlushReport(
        take_over_seconds=took,
        filter_memory=flushes.keys.capacity * 2,
        memory_before=before,
        memory_after_take_over=after,
        memory_at_the_end=peak_memory(os.getpid()),
        false_alarms=flushes.false_alarms,
        accepted=int(flushes.sums.verdicts["accepted"]),
        duplicates=int(flushes.sums.verdicts["duplicate"]),
        flush_seconds=sum(seconds),
        stages=dict(flushes.sums.seconds),
    )


def main(task: FlushTask) -> FlushReport:
    address = ServerAddress(host="127.0.0.1", port=task.port)
    with ClickHousePool(address, STATEMENTS, EngineLimits()) as server, ThreadPoolExecutor(STATEMENTS) as threads:
        database = server.database(task.database)
        rows = database.query_arrow(KNOWN_KEYS, {"stride": task.keys // KNOWN, "number": KNOWN})
        hashes: Sequence[bytes] = rows.column("key_hash").to_pylist()
        known = SeenRows(hashes, rows.column("body_hash").to_pylist(), [])
        return asyncio.run(_measure(GuardedStore(SqlGuardedEngine(GuardedAsyncSqlClient(database, threads))), known))


if __name__ == "__main__":
    print(msgspec.json.encode(main(msgspec.json.decode(sys.argv[1], type=FlushTask))).decode())
