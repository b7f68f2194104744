"""The real partition with one protection disabled at a time, as in `mutants`."""

from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import Superseded
from schemas.event import EventFlag
from schemas.flush import NOTHING, UNCOUNTED, ApplyResult, Claim, Extent, SeenRows, Table
from schemas.frame import Frame
from schemas.meter import MeterSet
from schemas.tables import extent_of
from stream_processors.core.bloom import BloomFilter
from stream_processors.core.dedupe import KeyLookupResult
from stream_processors.core.flush_plan import FlushPlan
from stream_processors.flushing.partition import Position
from tests.simulator.contents import end_of
from tests.simulator.memoized_partition import RememberedPlan, RememberingPartition
from tests.simulator.scenario import METERS

EVERYTHING = 1 << 40
WHOLE = Extent(pieces=1, whole=True)


class AlteredPlan(RememberedPlan):
    """The real plan, with its pieces altered."""

    _alter: Callable[[Table, Extent, pa.Table], pa.Table | None]

    @classmethod
    def by(cls, plan: FlushPlan, alter: Callable[[Table, Extent, pa.Table], pa.Table | None]) -> "AlteredPlan":
        altered = cls.__new__(cls)
        altered.__dict__ |= plan.__dict__ | {"_pieces": {}, "_alter": alter}
        return altered

    def next_piece(self, table: Table, extent: Extent) -> pa.Table | None:
        if (table, extent) not in self._pieces:
            piece = super().next_piece(table, extent)
            self._pieces[table, extent] = None if piece is None else self._alter(table, extent, piece)
        return self._pieces[table, extent]


class OwnPieces(RememberingPartition):
    """P4: a redo counts its own pieces, and does not begin where the table says that the last one ended."""

    def _next_piece(self, plan: FlushPlan, table: Table, extent: Extent) -> pa.Table | None:
        own = NOTHING
        for number in range(extent.pieces):
            piece = plan.next_piece(table, own)
            if piece is None:
                return None
            own = extent_of([end_of(table, piece)]) if table in (Table.USAGE, Table.REJECTS) else WHOLE
            own = msgspec.structs.replace(own, pieces=number + 1)
        return plan.next_piece(table, own)


class CountsOwnRows(RememberingPartition):
    """Rows: a worker counts the rejects that it wrote itself, and not those that it found."""

    async def _apply_once(
        self, claim: Claim, table: Table, piece: pa.Table, number: int, after: Collection[Table]
    ) -> Extent:
        own = 0 if number == 0 else self._own
        applied = await self._ports.tables.apply(table, self.number, claim.number, piece, number)
        if applied.result is ApplyResult.CLOSED:
            raise Superseded("already done")
        self._own = own + (piece.num_rows if applied.result is ApplyResult.WRITTEN else 0)
        return msgspec.structs.replace(applied.extent, rows=self._own if table is Table.REJECTS else 0)

    _own = 0


class CountsOwnPieces(RememberingPartition):
    """Rows: a worker counts the blocks of usage as it would have cut them, and not those that are there."""

    async def _apply_all(self, claim: Claim, table: Table, plan: FlushPlan, after: Collection[Table]) -> Extent:
        extent, own, pieces = await super()._apply_all(claim, table, plan, after), NOTHING, 0
        while table is Table.USAGE and not own.whole and (piece := plan.next_piece(table, own)) is not None:
            own, pieces = extent_of([end_of(table, piece)]), pieces + 1
            own = msgspec.structs.replace(own, pieces=pieces)
        return msgspec.structs.replace(extent, pieces=pieces) if table is Table.USAGE else extent


class FilterBeforeClaims(RememberingPartition):
    """H4: the filter is filled before the claims are read."""

    _early: BloomFilter | None = None

    async def boot(self) -> None:
        self._early = None
        self._early = await super()._filled_filter(EVERYTHING)
        await super().boot()
        self._early = None

    async def _filled_filter(self, below: int) -> BloomFilter:
        return self._early or await super()._filled_filter(below)


class SkipsWithoutBoot(RememberingPartition):
    """H4: a worker that was overtaken continues after the rival's flush with its old filter."""

    async def _guarded(self, work: Awaitable[None]) -> None:
        keys = self._filter
        try:
            await work
        except Superseded:
            progress = await self._ports.claims.progress(self.number)
            if progress is None or not progress.done:
                self.reset()
                return
            self._position = Position(number=0, offset=0, version=0).after(progress.claim)
            self._filter = keys


class KeepsOldFilter(RememberingPartition):
    """H4: after losing and regaining a partition, the filter of the earlier ownership is used again."""

    _old: BloomFilter | None = None

    def reset(self) -> None:
        self._old = self._filter.keys if self._filter else self._old
        super().reset()

    async def _filled_filter(self, below: int) -> BloomFilter:
        return self._old or await super()._filled_filter(below)


class EmptyFlushLeavesNothing(RememberingPartition):
    """H4: a flush that counts nothing writes no receipt, so nothing in the table prevents a second one."""

    def _next_piece(self, plan: FlushPlan, table: Table, extent: Extent) -> pa.Table | None:
        piece = super()._next_piece(plan, table, extent)
        counts_nothing = piece is not None and table is Table.USAGE and piece.num_rows == 1 and not extent.pieces
        return None if counts_nothing else piece


class AdoptsRangeOnly(RememberingPartition):
    """H5: the frames of the winning claim are adopted, but counted with the newest meters known here."""

    async def _complete(self, claim: Claim, frames: Sequence[Frame]) -> None:
        version = await self._ports.meters.newest_version()
        await super()._complete(msgspec.structs.replace(claim, version=version), frames)


class VersionFalls(RememberingPartition):
    """H6: a worker that does not know the newest meters claims with older ones."""

    def _propose(self, position: Position, frames: Sequence[Frame], newest: int) -> Claim:
        return msgspec.structs.replace(super()._propose(position, frames, newest), version=newest)


class NoBarrier(RememberingPartition):
    """H8: an idle partition makes no barrier flush for a new meter."""

    async def step(self) -> int:
        if self._position is None:
            await self.boot()
        if self._position and not await self._ports.log.read(self.number, self._position.offset, max_bytes=0):
            return 0
        return await super().step()


class SeveralBatches(RememberingPartition):
    """H12: the rows of a piece are more than one record batch, so they are more than one block."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushPlan:
        return AlteredPlan.by(super()._decide(claim, events, known, meters), _halved)


def _halved(table: Table, extent: Extent, piece: pa.Table) -> pa.Table:
    del extent
    half = piece.num_rows // 2
    return pa.concat_tables([piece.slice(0, half), piece.slice(half)]) if table is Table.USAGE else piece


class MonthOfTheEvent(RememberingPartition):
    """H18: rows have the month of their events, so a flush may write to any number of table partitions."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushPlan:
        return AlteredPlan.by(super()._decide(claim, events, known, meters), _spread_over_months)


def _spread_over_months(table: Table, extent: Extent, piece: pa.Table) -> pa.Table:
    del extent
    if table is not Table.EVENTS:
        return piece
    months = pa.array([202401 + row for row in range(piece.num_rows)], pa.uint32())
    at = piece.column_names.index("month")
    return piece.set_column(at, piece.schema.field(at), months)


class UsageBeforeEvents(RememberingPartition):
    """H16: usage is visible before the events that it counts."""

    async def _apply_all(self, claim: Claim, table: Table, plan: FlushPlan, after: Collection[Table]) -> Extent:
        extent = NOTHING if table is Table.EVENTS else await super()._apply_all(claim, table, plan, after)
        if table is Table.USAGE:
            await super()._apply_all(claim, Table.EVENTS, plan, after)
        return extent


class SeenFirst(RememberingPartition):
    """I5: keys are visible before their events and usage."""

    async def _complete(self, claim: Claim, frames: Sequence[Frame]) -> None:
        await self._apply_all(claim, Table.SEEN, await self._plan(claim, frames), ())
        await super()._complete(claim, frames)


class DoneTooSoon(RememberingPartition):
    """I5: a flush is recorded as done before its keys are stored."""

    async def _apply_all(self, claim: Claim, table: Table, plan: FlushPlan, after: Collection[Table]) -> Extent:
        if table is Table.SEEN:
            await self._ports.claims.finish(self.number, claim.number, UNCOUNTED)
        return await super()._apply_all(claim, table, plan, after)


class AcknowledgesFirst(RememberingPartition):
    """Frames are acknowledged, and may be deleted from the log, before they are counted."""

    async def _complete(self, claim: Claim, frames: Sequence[Frame]) -> None:
        await self._ports.log.acknowledge(self.number, claim.last)
        await super()._complete(claim, frames)


class RejectsOnce(RememberingPartition):
    """H17: rejects are not a step of their own: a redo omits them."""

    async def _redo(self, number: int) -> None:
        self._redoing = True
        await super()._redo(number)
        self._redoing = False

    async def _apply_all(self, claim: Claim, table: Table, plan: FlushPlan, after: Collection[Table]) -> Extent:
        if self._redoing and table is Table.REJECTS:
            return NOTHING
        return await super()._apply_all(claim, table, plan, after)

    _redoing = False


class TriesLeaveNoKey(RememberingPartition):
    """Replay: replay keys are not stored in `seen`."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushPlan:
        def without_tries(table: Table, extent: Extent, piece: pa.Table) -> pa.Table | None:
            del extent
            if table is not Table.SEEN:
                return piece
            others = piece.filter(pc.invert(pc.is_in(piece["key_hash"], _keys_of_tries(events)))).combine_chunks()
            return others if others.num_rows else None

        return AlteredPlan.by(super()._decide(claim, events, known, meters), without_tries)


class TriesAreAlwaysNew(RememberingPartition):
    """Replay: replays are measured without looking up their key."""

    async def _look_up(self, claim: Claim, events: pa.Table) -> KeyLookupResult:
        known = await super()._look_up(claim, events)
        tries = set(_keys_of_tries(events).to_pylist())
        seen = known.seen
        rows = zip(seen.key_hashes, seen.body_hashes, seen.arrivals, strict=True)
        others = [row for row in rows if row[0] not in tries]
        return KeyLookupResult(
            seen=SeenRows([key for key, _, _ in others], [body for _, body, _ in others], [at for _, _, at in others]),
            events=known.events,
        )


class TriesWithoutMeterCount(RememberingPartition):
    """Replay: the key of a replay is stored even if its meter is not in the set, so no later replay can succeed."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushPlan:
        deaf = tuple(
            msgspec.structs.replace(meter, event_name="none") for meter in METERS if meter not in meters.meters
        )
        return super()._decide(claim, events, known, msgspec.structs.replace(meters, meters=(*meters.meters, *deaf)))


def _keys_of_tries(events: pa.Table) -> pa.Array:
    is_try = pc.not_equal(pc.bit_wise_and(events["flags"], EventFlag.REPLAY), 0)
    return events["key_hash"].filter(is_try).combine_chunks()


class TrustsTheLog(RememberingPartition):
    """H22: no check that the log still holds frames that were never counted."""

    def _check_log_holds(self, offset: int, held_from: int) -> None:
        del offset, held_from

    async def _was_truncated(self, offset: int) -> bool:
        del offset
        return False
