"""A new meter counts all past events too, each once, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.flush import ApplyOutcome, ApplyResult, Extent, Table
from schemas.meter import Meter
from schemas.tables import BACKFILL_CHUNK, backfill_chunks, backfill_receipt
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.partition import Partition
from tests.factories import ACCOUNT, NOW, Event, make_event, make_meter
from tests.strategies import batches, meter_lists
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline

pytestmark = pytest.mark.anyio


class ProcessCrashed(Exception):
    """The simulated end of the process."""


class CrashingTables:
    """A store whose caller crashes at an insert, before it or after it without the reply."""

    def __init__(self, store: EmbeddedStore, *, inserts: int, after: bool) -> None:
        self._store = store
        self._inserts = inserts
        self._after = after

    async def receipts(self, prefix: str) -> frozenset[str]:
        return await self._store.receipts(prefix)

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        self._inserts -= 1
        if self._inserts >= 0:
            return await self._store.apply_backfill(table, receipt, rows, piece)
        if self._after:
            await self._store.apply_backfill(table, receipt, rows, piece)
        raise ProcessCrashed


class CrashRun:
    """Posts, meters, flushes, backfills and crashes, in any order."""

    def __init__(self, posts: Sequence[tuple[int, list[Event]]], meters: Sequence[Meter]) -> None:
        self.pipeline = InMemoryPipeline()
        self._posts = list(posts)
        self._meters = list(meters)
        self._partitions = self._booting()
        self._backfill = self.pipeline.backfill()

    async def post(self) -> None:
        if self._posts:
            arrival, events = self._posts.pop(0)
            await self.pipeline.post(events, arrival)

    async def make_meter(self) -> None:
        if self._meters:
            self.pipeline.meters.add(self._meters.pop(0))

    async def archive(self) -> None:
        pipeline = [meter.code for meter in self.pipeline.meters.made if meter.archived_version is None]
        if pipeline:
            self.pipeline.meters.archive(pipeline[0])

    async def flush_one(self) -> None:
        await self._partitions[0].step()

    async def flush_other(self) -> None:
        await self._partitions[1].step()

    async def restart_partitions(self) -> None:
        self._partitions = self._booting()

    async def backfill(self) -> None:
        await self._backfill.step()

    async def restart_backfill(self) -> None:
        self._backfill = self.pipeline.backfill()

    async def backfill_crashing_before(self) -> None:
        await self._crash(inserts=0, after=False)

    async def backfill_crashing_after(self) -> None:
        await self._crash(inserts=0, after=True)

    async def backfill_crashing_later(self) -> None:
        await self._crash(inserts=1, after=True)

    async def backfill_crashing_late(self) -> None:
        await self._crash(inserts=3, after=True)

    async def end(self) -> None:
        """Completes all flushes and backfills."""
        while self._posts:
            await self.post()
        for partition in self._partitions:
            while await partition.step():
                pass
        while await self._backfill.step():
            pass
        self.pipeline.assert_exact()

    async def _crash(self, *, inserts: int, after: bool) -> None:
        store = self.pipeline.store
        tables = CrashingTables(store, inserts=inserts, after=after)
        ports = BackfillPorts(meters=self.pipeline.meters, history=store, tables=tables)
        backfill = Backfill(ports, PARTITIONS, self.pipeline.next_bounds())
        try:
            while await backfill.step():
                pass
        except ProcessCrashed:
            await self.restart_backfill()

    def _booting(self) -> list[Partition]:
        return [self.pipeline.partition(number) for number in range(PARTITIONS)]


OPERATIONS = (
    CrashRun.post,
    CrashRun.post,
    CrashRun.make_meter,
    CrashRun.archive,
    CrashRun.flush_one,
    CrashRun.flush_other,
    CrashRun.restart_partitions,
    CrashRun.backfill,
    CrashRun.backfill,
    CrashRun.restart_backfill,
    CrashRun.backfill_crashing_before,
    CrashRun.backfill_crashing_after,
    CrashRun.backfill_crashing_later,
    CrashRun.backfill_crashing_late,
)
TOKENS = [make_meter("tokens", "sum"), make_meter("newest", "latest", group_by={"model": "$.model"})]
POSTS = [(NOW + place, [make_event(f"key_{place}", {"tokens": place or "none"})]) for place in range(6)]


@given(posts=batches(), meters=meter_lists(), operations=st.lists(st.sampled_from(OPERATIONS), min_size=5, max_size=40))
@example(
    posts=POSTS,
    meters=TOKENS,
    operations=[CrashRun.post, CrashRun.flush_one, CrashRun.flush_other] * 4
    + [CrashRun.make_meter, CrashRun.post, CrashRun.flush_one, CrashRun.flush_other, CrashRun.backfill_crashing_later]
    + [
        CrashRun.make_meter,
        CrashRun.archive,
        CrashRun.backfill_crashing_before,
        CrashRun.post,
        CrashRun.backfill_crashing_after,
    ],
)
def test_each_event_is_counted_once_for_each_meter(
    posts: Sequence[tuple[int, list[Event]]], meters: Sequence[Meter], operations: Sequence[object]
) -> None:
    """Flushes and backfills together count each event once, for any order of meters, crashes and posts."""

    async def run() -> None:
        crash_run = CrashRun(posts, meters)
        for operation in operations:
            await operation(crash_run)  # type: ignore[operator] # any of OPERATIONS
        await crash_run.end()

    asyncio.run(run())


async def flushed(pipeline: InMemoryPipeline, flushes: int) -> None:
    """Flushes partition 0 that many times, each time with at least one event."""
    partition = pipeline.partition(0)
    number = 0
    while flushes:
        await pipeline.post([make_event(f"key_{number}", {"tokens": number})], NOW + number)
        flushes -= bool(await partition.step())
        number += 1


async def test_every_chunk_leaves_its_receipt() -> None:
    """A range of any length is cut into the same chunks, each with a receipt, also chunks without events."""
    pipeline = InMemoryPipeline()
    await flushed(pipeline, 2 * BACKFILL_CHUNK + 1)
    pipeline.meters.add(make_meter("tokens", "sum"))
    pipeline.meters.add(make_meter("other", event_name="never.posted"))
    for number in range(PARTITIONS):
        await pipeline.partition(number).step()
    backfill = pipeline.backfill()
    while await backfill.step():
        pass
    receipts = await pipeline.store.receipts("backfill/")
    assert receipts == {backfill_receipt(ACCOUNT, code, 0, chunk) for code in ("tokens", "other") for chunk in range(3)}
    pipeline.assert_exact()
    assert backfill_chunks(2 * BACKFILL_CHUNK + 1) == 3


async def test_no_backfill_starts_before_its_boundary_is_known() -> None:
    """The boundary is the first flush that the partition claims with the meter."""
    pipeline = InMemoryPipeline()
    await flushed(pipeline, 3)
    pipeline.meters.add(make_meter("tokens", "sum"))
    backfill = pipeline.backfill()
    assert await backfill.step()
    assert not await backfill.step()
    assert await pipeline.store.receipts("backfill/") == frozenset()


async def test_the_rows_do_not_depend_on_how_events_are_read() -> None:
    """Read at once or flush by flush, a chunk makes the same block."""
    pipeline = InMemoryPipeline()
    await flushed(pipeline, 5)
    pipeline.meters.add(make_meter("tokens", "sum"))
    await pipeline.partition(0).step()
    blocks = []
    for flushes in (1_000, 1):
        recording = RecordingTables(pipeline.store, flushes)
        backfill = Backfill(BackfillPorts(meters=pipeline.meters, history=recording, tables=recording), PARTITIONS)
        while await backfill.step():
            pass
        blocks.append(recording.blocks)
    assert blocks[0] == blocks[1]
    assert len(blocks[0]) == 1


class RecordingTables:
    """Reads the events of so many flushes at a time, and records the blocks instead of storing them."""

    def __init__(self, store: EmbeddedStore, flushes: int) -> None:
        self._store = store
        self._at_once = flushes
        self.blocks: list[list[dict[str, object]]] = []

    async def activation(self, partition: int, version: int) -> int | None:
        return await self._store.activation(partition, version)

    async def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        for first in range(first_number, last_number + 1, self._at_once):
            last = min(first + self._at_once - 1, last_number)
            yield pa.concat_tables([events async for events in self._store.read_events(partition, first, last)])

    async def receipts(self, prefix: str) -> frozenset[str]:
        assert prefix
        return frozenset()

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        assert (table, receipt, piece) == (Table.USAGE, backfill_receipt(ACCOUNT, "tokens", 0, 0), 0)
        self.blocks.append(rows.to_pylist())
        return ApplyOutcome(ApplyResult.WRITTEN, Extent(pieces=1, whole=True))
