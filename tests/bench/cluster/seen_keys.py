"""Measures the takeover of a partition with many seen keys, and flushes to it, over HTTP."""

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from schemas.flush import UNCOUNTED, Claim
from schemas.hashing import HASH_NAME
from schemas.timestamps import month_of
from stream_processors.backends.sql.clickhouse_http import ClickHouseDatabase, ClickHousePool
from stream_processors.backends.sql.client import GuardedAsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine
from stream_processors.backends.sql.identity import StoreIdentity, check_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.store.guarded import GuardedStore
from tests.backing_services.store_process import StoreProcess
from tests.bench.cluster.pipeline import Print
from tests.bench.cluster.seen_keys_process import FLUSHES, FRESH, KNOWN, FlushReport, FlushTask
from tests.bench.figures import Figure, TotalsDiffer
from tests.bench.machine import peak_memory
from tests.server_process import wait_until

_DATABASE = "seen_bench"
_KEYS_PER_INSERT = 1_000_000
_MERGE_SECONDS = 3600.0

FILL = """\
INSERT INTO seen SELECT 0 AS p, sipHash128(number) AS key_hash, sipHash64(number) AS body_hash,
    toInt64({arrival:UInt64} + number) AS arrival, intDiv(number, {flush:UInt64}) AS n, {month:UInt32} AS month
FROM numbers({first:UInt64}, {number:UInt64})"""

_SIZE = """\
SELECT sum(bytes_on_disk), sum(rows), count() FROM system.parts WHERE database = {name:String} AND table = 'seen'
    AND active"""

_MERGES = "SELECT count() FROM system.merges WHERE database = {name:String} AND table = 'seen'"


class StoredKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Seen keys on the store's disk."""

    bytes_on_disk: int
    keys: int
    parts: int


def measure(folder: Path, keys: int, progress: Print) -> list[Figure]:
    """Puts all keys into one partition, and measures its takeover and flushes."""
    with (
        StoreProcess(folder / "store") as store,
        ClickHousePool(store.address, 1, EngineLimits()) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        database = _migrated(server)
        progress(f"filling a store with {keys:,} seen keys")
        _fill(database, keys)
        asyncio.run(_record_flushes(GuardedStore(SqlGuardedEngine(GuardedAsyncSqlClient(database, threads))), keys))
        progress("waiting until the store has merged them")
        wait_until("the merges to end", lambda: not _query_numbers(database, _MERGES)[0], _MERGE_SECONDS)
        stored = _stored_keys(database)
        progress(f"taking over the partition from {stored.parts} parts, and {FLUSHES} flushes")
        report = _measured(FlushTask(port=store.address.port, database=_DATABASE, keys=keys))
        _check(report, keys, stored, _stored_keys(database))
        return _figures(report, keys, stored, peak_memory(store.pid))


def _migrated(server: ClickHousePool) -> ClickHouseDatabase:
    anywhere = server.database("default")
    migrate(anywhere, _DATABASE)
    check_identity([anywhere], _DATABASE, StoreIdentity(partitions=1, hash_name=HASH_NAME, log_id="bench"))
    return server.database(_DATABASE)


def _fill(database: ClickHouseDatabase, keys: int) -> None:
    arrival = time.time_ns() // 1000 - keys  # Arrivals are a microsecond apart, and none is in the future.
    parameters = {"arrival": arrival, "flush": FRESH, "month": month_of(arrival)}
    for first in range(0, keys, _KEYS_PER_INSERT):
        database.command(FILL, {**parameters, "first": first, "number": min(_KEYS_PER_INSERT, keys - first)})


async def _record_flushes(store: GuardedStore, keys: int) -> None:
    """Marks the flush of the last keys as done. It has no frames, so the next flush begins at the first frame."""
    last = (keys - 1) // FRESH
    await store.claim(Claim(partition=0, number=last, first=0, last=-1, version=0))
    await store.finish(0, last, UNCOUNTED)


def _measured(task: FlushTask) -> FlushReport:
    command = [sys.executable, "-m", "tests.bench.cluster.seen_keys_process", msgspec.json.encode(task).decode()]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return msgspec.json.decode(run.stdout, type=FlushReport)


def _query_numbers(database: ClickHouseDatabase, query: str) -> list[int]:
    return [int(value) for value in database.query_rows(query, {"name": _DATABASE})[0]]


def _stored_keys(database: ClickHouseDatabase) -> StoredKeys:
    bytes_on_disk, keys, parts = _query_numbers(database, _SIZE)
    return StoredKeys(bytes_on_disk=bytes_on_disk, keys=keys, parts=parts)


def _check(report: FlushReport, keys: int, before: StoredKeys, after: StoredKeys) -> None:
    counted = {"accepted": report.accepted, "duplicates": report.duplicates, "stored": after.keys}
    expected = {"accepted": FRESH * FLUSHES, "duplicates": KNOWN * FLUSHES, "stored": keys + FRESH * FLUSHES}
    if before.keys != keys or counted != expected:
        raise TotalsDiffer(f"{before.keys} of {keys} seen keys were stored; then {counted}, expected {expected}")


def _figures(report: FlushReport, keys: int, stored: StoredKeys, store_memory: int) -> list[Figure]:
    measured = (FRESH + KNOWN) * (FLUSHES - 1)
    seconds = report.stages["look_up"] + report.stages["seen"]
    details = {"partitions": 1, "parts": stored.parts, "stages": report.stages, "flush_seconds": report.flush_seconds}
    many = f"{keys / 1e6:g} M seen keys"
    return [
        Figure(name=f"{many}: taking over", value=report.take_over_seconds, unit="s", less_is_better=True),
        Figure(name=f"{many}: taking over, rate", value=keys / report.take_over_seconds, unit="keys/s"),
        Figure(name=f"{many}: lookup and insert", value=measured / seconds, unit="keys/s", details=details),
        Figure(name=f"{many}: whole flush, no meters", value=measured / report.flush_seconds, unit="events/s"),
        Figure(
            name=f"{many}: false alarms",
            value=report.false_alarms / (FRESH * FLUSHES) * 1e6,
            unit="per million",
            less_is_better=True,
            details={"false_alarms": report.false_alarms, "lookups": FRESH * FLUSHES},
        ),
        Figure(name=f"{many}: filter", value=report.filter_memory / 1e6, unit="MB", less_is_better=True),
        Figure(
            name=f"{many}: worker, peak memory",
            value=report.memory_at_the_end / 1e6,
            unit="MB",
            less_is_better=True,
            details={"before": report.memory_before, "after_take_over": report.memory_after_take_over},
        ),
        Figure(name=f"{many}: store, peak memory", value=store_memory / 1e6, unit="MB", less_is_better=True),
        Figure(name=f"{many}: on disk", value=stored.bytes_on_disk / keys, unit="bytes/key", less_is_better=True),
    ]
