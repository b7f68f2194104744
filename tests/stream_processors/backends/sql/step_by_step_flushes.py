"""Writes flushes step by step, so that a test can read between any two steps."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from schemas.flush import UNCOUNTED, Table
from schemas.hashing import as_halves, key_hash, partition_of
from schemas.meter import Meter
from schemas.tables import LAYOUTS, backfill_receipt
from schemas.timestamps import SECOND
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.sql.client import AsyncSqlClient, Parameters
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.event_reader import SqlEventReader
from stream_processors.backends.sql.recount import SqlRecount
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.sharded import ShardedSeenMonths, ShardedStore, shard_of
from stream_processors.core.flush_plan import PieceBounds, assemble, plan_flush
from stream_processors.core.measure import measure
from stream_processors.core.usage_rows import with_receipt
from tests.factories import ACCOUNT, NOTHING_KNOWN, NOW, WINDOW, Event, make_claim, make_frame, make_meter_set
from tests.stream_processors.core.planned_rows import PlannedRows, pieces_of, planned_rows

PARTITIONS = 2


class StoreClients(NamedTuple):
    """A store: the client that reads all of it, and the clients of its shards. With one shard the two are the same."""

    reading: AsyncSqlClient
    shards: Sequence[AsyncSqlClient]


class StepByStepFlushes:
    """A store, its readers, and the steps of a processor, one at a time."""

    def __init__(self, opened: StoreClients) -> None:
        store, self._shards = opened
        self.store = store
        self.apart: int = SECOND
        engines = [SqlEngine(shard) for shard in self._shards]
        self._engines = engines
        self.months = ShardedSeenMonths([SqlSeenMonths(shard) for shard in self._shards])
        replayed = ReplayLookup(ShardedStore([EmbeddedStore(engine) for engine in engines]), PARTITIONS)
        self.usage = SqlUsageReader(store, PARTITIONS)
        self.events = SqlEventReader(store, replayed, now=lambda: NOW)
        self.recount = SqlRecount(store, replayed)

    async def claim(self, partition: int, number: int, version: int = 1) -> None:
        claim = make_claim(number, number, number, partition=partition, version=version)
        await shard_of(partition, self._engines).insert_claim(claim, f"claim/{partition}/{number}")

    async def apply(self, table: Table, rows: PlannedRows, partition: int, number: int) -> None:
        block: pa.Table = getattr(rows, table.value)
        if block.num_rows:
            assert block.schema == LAYOUTS[table]
            await self.insert(table, block, partition, f"{table}/{partition}/{number}")

    async def insert(self, table: Table, block: pa.Table, partition: int, token: str) -> None:
        """Insert into the shard that holds the partition."""
        await shard_of(partition, self._engines).insert(table, block, token)

    async def change(self, statement: str, parameters: Parameters | None = None) -> None:
        """Change all shards, as no processor would."""
        for shard in self._shards:
            await shard.command(statement, parameters)

    async def done(self, partition: int, number: int) -> None:
        await shard_of(partition, self._engines).insert_done(partition, number, UNCOUNTED, f"done/{partition}/{number}")

    async def count(
        self, events: Sequence[Event], meters: Sequence[Meter], *, number: int, partition: int = 0, version: int = 1
    ) -> None:
        """Write a complete flush of one frame."""
        rows = plan(events, meters, number=number, partition=partition, version=version, apart=self.apart)
        await self.claim(partition, number, version)
        for table in Table:
            await self.apply(table, rows, partition, number)
        await self.done(partition, number)

    async def backfill(self, meter: Meter, events: Sequence[Event], partition: int, chunk: int) -> None:
        receipt = backfill_receipt(meter.account, meter.code, partition, chunk)
        rows = plan(events, [], number=0, partition=partition).events
        usage = with_receipt(measure(rows, [meter], month=202611, origin=receipt).usage, receipt, month=202611)
        await self.insert(Table.USAGE, usage, partition, receipt)


def plan(
    events: Sequence[Event],
    meters: Sequence[Meter],
    *,
    number: int,
    partition: int = 0,
    version: int = 1,
    apart: int = SECOND,
) -> PlannedRows:
    """The rows of a flush of one frame; the flushes' arrivals are `apart`."""
    frame = make_frame(events, offset=number, arrival=NOW + number * apart, partition=partition)
    claim = make_claim(number, number, number, partition=partition, version=version)
    meter_set = make_meter_set(*meters, version=version)
    return planned_rows(plan_flush(claim, assemble([frame]), NOTHING_KNOWN, meter_set, WINDOW))


def pieces(events: Sequence[Event], meters: Sequence[Meter], *, number: int) -> list[pa.Table]:
    """The pieces of the usage of a flush of one frame, each of one meter."""
    frame = make_frame(events, offset=number, arrival=NOW + number)
    claim = make_claim(number, number, number)
    plan = plan_flush(claim, assemble([frame]), NOTHING_KNOWN, make_meter_set(*meters), WINDOW, PieceBounds(rows=1))
    return pieces_of(plan, Table.USAGE)


def home_of(key: str, account: str = ACCOUNT) -> int:
    """The partition of an event with this key."""
    return int(partition_of(as_halves(key_hash(account, key)), PARTITIONS)[0])
