"""Backfill of new meters: every event of the flushes before a meter's first one is counted once.

The boundary is a flush number, never a time: flush N is the first one claimed with the meter, so all flushes before it
are done and never change, and all from it on count the meter themselves. The range before N is cut into chunks of flush
numbers, always the same ones, and the store applies each at most once by its receipt. A chunk may therefore be repeated
by any worker, at any time, from any step.
"""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from schemas.flush import Table
from schemas.meter import Meter
from schemas.tables import BACKFILL_CHUNK, backfill_chunks, backfill_receipt
from schemas.timestamps import month_of
from stream_processors.core.measure import measure
from stream_processors.core.usage_rows import merge_usage, with_receipt
from stream_processors.ports import BackfillTables, EventHistory, MeterSets

_UNMERGED_ROWS = 500_000
"""Above this many usage rows a chunk merges those it holds, which bounds its memory."""

_NO_EVENTS_MONTH = month_of(0)
"""The month of the receipt of a chunk without events."""


class BackfillPorts(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of a backfill."""

    meters: MeterSets
    history: EventHistory
    tables: BackfillTables


class BackfillRange(msgspec.Struct, frozen=True, kw_only=True):
    """The flushes of one partition before the first one that counts a meter."""

    meter: Meter
    partition: int
    activation: int

    def chunks(self) -> Sequence["BackfillChunk"]:
        return [BackfillChunk(flushes=self, number=number) for number in range(backfill_chunks(self.activation))]

    @property
    def receipts_prefix(self) -> str:
        return self.receipt(0).removesuffix("0")

    def receipt(self, chunk: int) -> str:
        return backfill_receipt(self.meter.account, self.meter.code, self.partition, chunk)


class BackfillChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive flushes of a range, which are applied as one block."""

    flushes: BackfillRange
    number: int

    @property
    def receipt(self) -> str:
        return self.flushes.receipt(self.number)

    @property
    def first(self) -> int:
        return self.number * BACKFILL_CHUNK

    @property
    def last(self) -> int:
        return min(self.first + BACKFILL_CHUNK, self.flushes.activation) - 1


class Backfill:
    """Backfills every meter, archived ones too, one chunk at a time.

    Its state only saves look-ups: a new instance finds the chunks that the store has and counts the others.
    """

    def __init__(self, ports: BackfillPorts, partitions: int) -> None:
        self._ports = ports
        self._partitions = range(partitions)
        self._last_version = 0
        self._not_active: list[tuple[Meter, int]] = []
        self._missing: list[BackfillChunk] = []
        """The missing chunks of one range, the first chunk last."""

    async def step(self) -> bool:
        """Does one unit of work; False if nothing is left until a flush or a new meter."""
        if self._missing:
            await self._count(self._missing[-1])
            self._missing.pop()
            return True
        return await self._next_meter_set() or await self._find_missing_chunks()

    async def _next_meter_set(self) -> bool:
        """Reads one more meter set; False if all are known."""
        version = self._last_version + 1
        if version > await self._ports.meters.newest_version():
            return False
        meters = await self._ports.meters.at_version(version)
        for meter in meters.meters:
            if meter.version == version:
                self._not_active += [(meter, partition) for partition in self._partitions]
        self._last_version = version
        return True

    async def _find_missing_chunks(self) -> bool:
        """Lists the missing chunks of a meter that has become active; False if there is none."""
        for meter, partition in self._not_active:
            activation = await self._ports.history.activation(partition, meter.version)
            if activation is not None:
                flushes = BackfillRange(meter=meter, partition=partition, activation=activation)
                receipts = await self._ports.tables.receipts(flushes.receipts_prefix)
                self._missing = [chunk for chunk in reversed(flushes.chunks()) if chunk.receipt not in receipts]
                self._not_active.remove((meter, partition))
                return True
        return False

    async def _count(self, chunk: BackfillChunk) -> None:
        """Applies rejects first: the receipt in `usage` marks the whole chunk as done."""
        usage, rejects = await self._measured(chunk)
        if rejects.num_rows:
            await self._ports.tables.apply_backfill(Table.REJECTS, chunk.receipt, rejects)
        await self._ports.tables.apply_backfill(Table.USAGE, chunk.receipt, usage)

    async def _measured(self, chunk: BackfillChunk) -> tuple[pa.Table, pa.Table]:
        """The rows of the chunk, which depend neither on the worker nor on the pieces in which the events are read."""
        month: int | None = None
        usage: list[pa.Table] = []
        rejects: list[pa.Table] = []
        async for events in self._ports.history.read_events(chunk.flushes.partition, chunk.first, chunk.last):
            if not events.num_rows:
                continue
            month = month or events["month"][0].as_py()
            measured = measure(events, [chunk.flushes.meter], month=month, origin=chunk.receipt)
            usage.append(measured.usage)
            rejects.append(measured.rejects)
            if sum(table.num_rows for table in usage) > _UNMERGED_ROWS:
                usage = [merge_usage(usage, month=month)]
        month = month or _NO_EVENTS_MONTH
        merged = with_receipt(merge_usage(usage, month=month), chunk.receipt, month=month)
        return merged, _one_block(rejects)


def _one_block(rejects: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(rejects).combine_chunks() if rejects else pa.table({})
