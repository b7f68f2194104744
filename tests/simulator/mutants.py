"""The real code with one protection disabled at a time: each mutant must make the simulator fail.

Each docstring starts with the hole of the flush protocol that the protection closes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import Superseded
from schemas.event import EventFlag
from schemas.flush import ApplyResult, Claim, SeenRows, Table
from schemas.frame import Frame
from schemas.meter import MeterSet
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.write_once import rows_token
from stream_processors.core.bloom import BloomFilter
from stream_processors.core.dedupe import KeyLookupResult
from stream_processors.core.flush_plan import FlushRows
from stream_processors.flushing.partition import Position
from tests.simulator.durable import Durable
from tests.simulator.engine import FaultyEngine
from tests.simulator.memoized_partition import RememberingPartition
from tests.simulator.reader import Reader
from tests.simulator.scenario import METERS
from tests.simulator.sources import SimulatedLog
from tests.simulator.statements import RunningStatement

EVERYTHING = 1 << 40
FIRST_VERSION = 1

# The store.


class TrustsTokens(EmbeddedStore):
    """H1: a confirmed insert is taken for stored rows."""

    async def _insert_until(
        self, applied: Callable[[], Awaitable[bool]], insert: Callable[[int], Awaitable[None]]
    ) -> None:
        del applied
        await insert(0)


class TokensAlone(EmbeddedStore):
    """H2: no receipt is checked; only a token prevents a second insert."""

    async def apply(self, table: Table, partition: int, number: int, rows: pa.Table) -> ApplyResult:
        await self._engine.insert(table, rows, rows_token(table, partition, number, 0))
        return ApplyResult.WRITTEN


class NoSection(FaultyEngine):
    """H3: no lock keeps a zombie of the same process out between a check and its insert."""

    @asynccontextmanager
    async def exclusive(self, section: int | str) -> AsyncIterator[None]:
        del section
        yield


class ClientChecks(GuardedStore):
    """H3: the client checks receipt and done, and then inserts without a condition."""

    async def apply(self, table: Table, partition: int, number: int, rows: pa.Table) -> ApplyResult:
        flush_state = await self._engine.flush_state(table, partition, number)
        if flush_state.done:
            return ApplyResult.CLOSED
        if not flush_state.applied:
            await self._engine.insert(table, rows, rows_token(table, partition, number, 0))
        return ApplyResult.WRITTEN


class UnguardedStatements(FaultyEngine):
    """H3: a late statement inserts, whatever happened in the meantime."""

    async def _send(self, statement: RunningStatement) -> None:
        statement.guard = lambda: True
        await super()._send(statement)


class HastyRepeats(FaultyEngine):
    """H1: missing rows are inserted under a new token while an earlier statement may still commit them."""

    async def quiesce(self) -> None:
        """Returns at once."""


class ForgetfulEvents(EmbeddedStore):
    """H9: the look-up in `events` finds the rows of the same flush."""

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        del below
        return await super().find_events(partition, EVERYTHING, key_hashes)


class ActiveAtWatermark(EmbeddedStore):
    """H7: a backfill ends at the watermark instead of the first flush claimed with the meter."""

    async def activation(self, partition: int, version: int) -> int | None:
        progress = await self.progress(partition)
        if version == FIRST_VERSION or progress is None:
            return await super().activation(partition, version)
        return progress.claim.number + progress.done


class LooseRejects(EmbeddedStore):
    """H17: rejects are written without a receipt, under a token alone."""

    async def apply(self, table: Table, partition: int, number: int, rows: pa.Table) -> ApplyResult:
        if table is not Table.REJECTS:
            return await super().apply(table, partition, number, rows)
        await self._engine.insert(table, rows, f"{id(rows)} {self._engine_time()}")
        return ApplyResult.WRITTEN

    def _engine_time(self) -> int:
        assert isinstance(self._engine, FaultyEngine)
        return len(self._engine.durable.journal)


class UnsyncedUsage(FaultyEngine):
    """H13: `usage` is not fsynced, `flushes` is."""

    def new_durable(self) -> Durable:
        return Durable(unsynced_tables=frozenset({Table.USAGE}))


class FlushesByTime(FaultyEngine):
    """H15: `flushes` is partitioned by time, so two claims do not share the table partition of the token."""

    async def insert_claim_guarded(self, claim: Claim, token: str) -> None:
        await super().insert_claim_guarded(claim, f"{token} in month {self._running_process()}")


# The partition.


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

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushRows:
        rows = super()._decide(claim, events, known, meters)
        return rows if rows.usage.num_rows > 1 else msgspec.structs.replace(rows, usage=rows.usage.slice(0, 0))


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
    """H12: the rows of a flush are more than one record batch, so they are more than one block."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushRows:
        rows = super()._decide(claim, events, known, meters)
        half = rows.usage.num_rows // 2
        return msgspec.structs.replace(
            rows, usage=pa.concat_tables([rows.usage.slice(0, half), rows.usage.slice(half)])
        )


class MonthOfTheEvent(RememberingPartition):
    """H18: rows have the month of their events, so a flush may write to any number of table partitions."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushRows:
        rows = super()._decide(claim, events, known, meters)
        months = pa.array([202401 + row for row in range(rows.events.num_rows)], pa.uint32())
        at = rows.events.column_names.index("month")
        return msgspec.structs.replace(rows, events=rows.events.set_column(at, rows.events.schema.field(at), months))


class UsageBeforeEvents(RememberingPartition):
    """H16: usage is visible before the events that it counts."""

    async def _apply_once(self, claim: Claim, table: Table, block: pa.Table) -> None:
        if table is Table.EVENTS:
            self._held_back = block
            return
        await super()._apply_once(claim, table, block)
        if table is Table.USAGE:
            await super()._apply_once(claim, Table.EVENTS, self._held_back)

    _held_back: pa.Table


class SeenFirst(RememberingPartition):
    """I5: keys are visible before their events and usage."""

    async def _complete(self, claim: Claim, frames: Sequence[Frame]) -> None:
        rows = await self._plan(claim, frames)
        await self._apply_once(claim, Table.SEEN, rows.seen)
        await super()._complete(claim, frames)


class DoneTooSoon(RememberingPartition):
    """I5: a flush is recorded as done before its keys are stored."""

    async def _apply_once(self, claim: Claim, table: Table, block: pa.Table) -> None:
        if table is Table.SEEN:
            await self._ports.claims.finish(self.number, claim.number)
        await super()._apply_once(claim, table, block)


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

    async def _apply_once(self, claim: Claim, table: Table, block: pa.Table) -> None:
        if not (self._redoing and table is Table.REJECTS):
            await super()._apply_once(claim, table, block)

    _redoing = False


class TriesLeaveNoKey(RememberingPartition):
    """Replay: replay keys are not stored in `seen`."""

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushRows:
        rows = super()._decide(claim, events, known, meters)
        is_try = pc.is_in(rows.seen["key_hash"], _keys_of_tries(events))
        return msgspec.structs.replace(rows, seen=rows.seen.filter(pc.invert(is_try)).combine_chunks())


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

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushRows:
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


# The others.


class LooksNoFurther(Reader):
    """H16: usage is taken as that of the watermark, without a check for events beyond it."""

    def has_events_beyond(self, watermark: int) -> bool:
        del watermark
        return False


class CutLog(SimulatedLog):
    """For H22: retention has deleted the first frame before it was read."""

    first_held = 1
