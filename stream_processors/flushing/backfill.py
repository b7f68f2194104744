"""Backfill of new meters: every event of the flushes before a meter's first one is counted once.

The boundary is a flush number, never a time: flush N is the first one claimed with the meter, so all flushes before it
are done and never change, and all from it on count the meter themselves. The range before N is cut into chunks of flush
numbers, always the same ones, and the store applies each at most once by its receipt. A chunk with more rows than one
insert may hold is applied in pieces of whole flushes, each with a receipt that names its last flush. A chunk may
therefore be repeated by any worker, at any time, from any step.
"""

from collections.abc import Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.flush import NOTHING, Extent, Table
from schemas.meter import Meter
from schemas.tables import BACKFILL_CHUNK, backfill_chunks, backfill_receipt, piece_receipt
from schemas.timestamps import month_of
from stream_processors.core.flush_plan import PieceBounds
from stream_processors.core.measure import measure
from stream_processors.core.rejects import stacked_rejects, with_piece
from stream_processors.core.usage_rows import merge_usage, with_receipt
from stream_processors.ports import BackfillTables, EventHistory, MeterSets

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
    """Consecutive flushes of a range, which have one receipt."""

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

    def __init__(self, ports: BackfillPorts, partitions: int, bounds: PieceBounds | None = None) -> None:
        self._ports = ports
        self._bounds = bounds or PieceBounds()
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
        """Applies the chunk in pieces of whole flushes, each beginning where the store says that the last one ended."""
        usage, rejects = NOTHING, NOTHING
        while not usage.whole:
            first = int(usage.through) + 1 if usage.pieces else chunk.first
            piece = await self._measured(chunk, first)
            # Rejects first: a receipt in `usage` marks all of its flushes as done.
            rejects = await self._apply_rejects(chunk, piece.rejects, rejects)
            usage = await self._apply(Table.USAGE, chunk, piece.usage(chunk.receipt, usage.pieces), usage)

    async def _apply_rejects(self, chunk: BackfillChunk, rejects: pa.Table, extent: Extent) -> Extent:
        """Applies the rejects of a piece that are not there; another worker may have applied more, or fewer."""
        while True:
            missing = rejects.filter(pc.greater(rejects["n"], int(extent.through))) if extent.pieces else rejects
            if not missing.num_rows:
                return extent
            extent = await self._apply(Table.REJECTS, chunk, with_piece(missing, extent.pieces), extent)

    async def _apply(self, table: Table, chunk: BackfillChunk, rows: pa.Table, extent: Extent) -> Extent:
        block = rows.combine_chunks()
        applied = await self._ports.tables.apply_backfill(table, chunk.receipt, block, extent.pieces)
        return applied.extent

    async def _measured(self, chunk: BackfillChunk, first: int) -> "BackfillPiece":
        """The rows of the flushes from `first` on: of as many as the bounds allow, at least of those read at once."""
        piece = BackfillPiece()
        async for events in self._ports.history.read_events(chunk.flushes.partition, first, chunk.last):
            if events.num_rows:
                piece.add(events, chunk)
            if not piece.fits(self._bounds):
                piece.end = max(pc.max(events["n"]).as_py(), first)
                break
        if piece.end is not None and piece.end >= chunk.last:
            piece.end = None
        return piece


class BackfillPiece:
    """Usage and rejects of consecutive flushes of a chunk, while they are read."""

    def __init__(self) -> None:
        self.end: int | None = None
        """The last flush; None for the last flush of the chunk."""
        self._month: int | None = None
        self._usage: list[pa.Table] = []
        self._rejects: list[pa.Table] = []

    def add(self, events: pa.Table, chunk: BackfillChunk) -> None:
        # All of a chunk's blocks have one month each; any will do, for no key or receipt is looked up by it.
        self._month = self._month or events["month"][0].as_py()
        measured = measure(events, [chunk.flushes.meter], month=self._month, origin=chunk.receipt)
        self._usage = [merge_usage([*self._usage, measured.usage], month=self._month)]
        self._rejects.append(measured.rejects)

    def fits(self, bounds: PieceBounds) -> bool:
        """Whether there is room for the rows of more flushes."""
        tables = [*self._usage, *self._rejects]
        rows, size = sum(table.num_rows for table in tables), sum(table.nbytes for table in tables)
        return bool(rows < bounds.rows and size < bounds.size)

    def usage(self, receipt: str, piece: int) -> pa.Table:
        month = self._month or _NO_EVENTS_MONTH
        end = "" if self.end is None else piece_receipt(piece, str(self.end))
        return with_receipt(merge_usage(self._usage, month=month), receipt, month=month, end=end)

    @property
    def rejects(self) -> pa.Table:
        return stacked_rejects(self._rejects)
