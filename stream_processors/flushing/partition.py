"""One partition's flushes, one at a time: claim, look up, insert, finish, acknowledge.

At every `await` on a port this worker may crash, pause, or meet a rival: another worker on the same partition. The
order of the steps, and every check between them, prevents a loss or a double count that a simpler protocol allowed;
tests/simulator removes them one by one and must find the event that is then lost or doubled.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec
import pyarrow as pa

from schemas.errors import ClaimMismatch, LogGap, StoreDamaged, StoreFailed, Superseded
from schemas.flush import NOTHING, ApplyResult, Claim, Extent, SeenRows, Table
from schemas.frame import Frame, raw_size
from schemas.meter import MeterSet
from schemas.metrics import Counter, Gauge, Histogram, Metrics, NullMetrics
from stream_processors.core.bloom import BloomFilter
from stream_processors.core.dedupe import KeyLookupResult, keys_to_look_up
from stream_processors.core.flush_plan import FlushCounts, FlushPlan, assemble, frames_for_one_flush, plan_flush
from stream_processors.flushing.growing_filter import GrowingFilter, filled_filter
from stream_processors.flushing.policy import FlushPace, FlushPolicy, Pause
from stream_processors.flushing.retry import Attempts, Retry
from stream_processors.ports import Claims, FrameLog, MeterSets, NoStoreCheck, SeenKeys, StoreCheck, Tables

NO_SEEN_ROWS = SeenRows([], [], [])


class FlushPorts(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of a partition, and its pause and clock for retries."""

    log: FrameLog
    claims: Claims
    tables: Tables
    seen: SeenKeys
    meters: MeterSets
    pause: Pause
    check: StoreCheck = NoStoreCheck()
    metrics: Metrics = NullMetrics()
    monotonic: Callable[[], float] = time.perf_counter


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The next flush: its number, its first offset, and the lowest meter set version it may use."""

    number: int
    offset: int
    version: int

    def after(self, claim: Claim) -> "Position":
        return Position(number=claim.number + 1, offset=claim.last + 1, version=claim.version)


class Partition:
    """Flushes one partition. Its state, a position and a filter, is discarded at any doubt and read again by `boot`."""

    def __init__(self, number: int, ports: FlushPorts, policy: FlushPolicy) -> None:
        self.number = number
        self._ports = ports
        self.attempts = Attempts(ports.monotonic)
        self._retry = Retry(self.attempts, ports.pause, ports.metrics, ports.monotonic)
        self._policy = policy
        self._pace = FlushPace(policy)
        self._position: Position | None = None
        self._filter: GrowingFilter | None = None
        self._is_checked = False

    @property
    def position(self) -> Position | None:
        """None before the boot, and after any doubt about it."""
        return self._position

    def reset(self) -> None:
        """Discards position and filter: the next step boots."""
        self._position = None
        self._filter = None

    async def boot(self) -> None:
        """Reads position and filter from the store, and redoes the last flush unless it is recorded as done.

        Raises LogGap if the log no longer holds a frame that was never counted, and StoreDamaged if the store lacks
        rows that it had, which is looked at once.
        """
        self.reset()
        await self._check_store()
        # Read before the claims: frames that a rival counts and deletes after this are no gap.
        held_from = await self._ports.log.first_offset(self.number)
        progress = await self._ports.claims.progress(self.number)
        # Filled after the claims are read: filled before, the filter could miss a flush of a rival in between.
        if progress is None:
            position = Position(number=0, offset=0, version=0)
        elif progress.done:
            position = Position(number=0, offset=0, version=0).after(progress.claim)
        else:
            claim = progress.claim
            position = Position(number=claim.number, offset=claim.first, version=claim.version)
        keys = await self._filled_filter(position.number)
        self._filter = GrowingFilter(keys, self._ports.seen, self.number, self._policy.filter_keys)
        self._check_log_holds(position.offset, held_from)
        self._position = position
        self._ports.metrics.count(Counter.BOOTS, 1, str(self.number))
        self._ports.metrics.set(Gauge.FILTER_KEYS, keys.count, str(self.number))
        if progress is not None and not progress.done:
            await self._guarded(self._redo(progress.claim.number))

    async def _check_store(self) -> None:
        if self._is_checked:
            return
        if damage := await self._ports.check.damage(self.number):
            raise StoreDamaged(
                f"partition {self.number}: the usage store is not complete: {'; '.join(damage)}. Nothing more is "
                "counted here, because usage would be wrong and events could count twice. Nothing accepted is lost. "
                "On one machine, stop, and run `tallyhouse repair --dry-run`: it lists what can be made again from the "
                "raw events. What cannot be, a backup has: restore the usage store and the log together from one."
            )
        self._is_checked = True

    async def step(self) -> int:
        """Flushes the waiting frames, up to the policy's size, and returns how many it took.

        Returns 0 if no frames are waiting, and if a rival was met, after which the next step boots.
        """
        if self._position is None:
            await self.boot()
        position = self._position
        if position is None:
            return 0
        waiting = await self._ports.log.read(self.number, position.offset, max_bytes=self._policy.max_bytes)
        if waiting and waiting[0].offset > position.offset and await self._was_truncated(position.offset):
            # Either a rival has counted them, or retention has deleted them: the boot decides which.
            self.reset()
            return 0
        frames = frames_for_one_flush(waiting, self._pace.raw_bytes)
        newest = await self._ports.meters.newest_version()
        if not frames and newest <= position.version:
            return 0
        proposal = self._propose(position, frames, newest)
        began = self._ports.monotonic()
        await self._guarded(self._flush(proposal, frames))
        self._pace.took(sum(raw_size(frame.payload) for frame in frames), self._ports.monotonic() - began)
        return len(frames)

    async def _was_truncated(self, offset: int) -> bool:
        return await self._ports.log.first_offset(self.number) > offset

    def _propose(self, position: Position, frames: Sequence[Frame], newest: int) -> Claim:
        last = frames[-1].offset if frames else position.offset - 1
        return Claim(
            partition=self.number,
            number=position.number,
            first=position.offset,
            last=last,
            # The version never decreases: an older meter set after a newer one would break the activation of meters.
            version=max(newest, position.version),
        )

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Awaits `work`; any exception from it casts doubt on the state, which is then discarded."""
        try:
            await work
        except Superseded:
            self.reset()
        except BaseException:
            self.reset()
            raise

    async def _redo(self, number: int) -> None:
        """Finishes a claimed flush of any worker, with exactly the frames and the version of its claim."""
        claim = await self._retry.until_answered("claim", lambda: self._adopt(number))
        self.attempts.begin(claim)
        await self._complete(claim, await self._frames_of(claim))

    async def _flush(self, proposal: Claim, frames: Sequence[Frame]) -> None:
        self.attempts.begin(proposal)
        adopted = await self._claim(proposal)
        self.attempts.begin(adopted)
        if (adopted.first, adopted.last) != (proposal.first, proposal.last):
            frames = await self._frames_of(adopted)
        await self._complete(adopted, frames)

    async def _claim(self, proposal: Claim) -> Claim:
        """Proposes a claim, and returns the one that won."""

        async def propose_and_read_back() -> Claim:
            await self._ports.claims.claim(proposal)
            return await self._adopt(proposal.number)

        return await self._retry.until_answered("claim", propose_and_read_back)

    async def _adopt(self, number: int) -> Claim:
        """The one claim of this number, with its range and its version, from any worker."""
        found = await self._ports.claims.read_back(self.number, number)
        if any(progress.done or progress.claim.number > number for progress in found):
            raise Superseded(f"partition {self.number}: flush {number} was done by another worker")
        claims = {progress.claim for progress in found}
        if not claims:
            raise StoreFailed(f"partition {self.number}: the claim of flush {number} is not visible yet")
        if len(claims) > 1:
            raise ClaimMismatch(
                f"partition {self.number}: flush {number} has {len(claims)} different claims: "
                f"{sorted(map(str, claims))}. Nothing more is counted here. "
                "Stop all workers of this partition and compare the `flushes` table "
                "with the log before starting again."
            )
        return claims.pop()

    async def _complete(self, claim: Claim, frames: Sequence[Frame]) -> None:
        """Every step after the claim; a redo starts here."""
        plan = await self._plan(claim, frames)
        extents = dict.fromkeys(Table, NOTHING)
        for table in Table:
            written = [before for before, extent in extents.items() if extent.pieces]
            extents[table] = await self._apply_all(claim, table, plan, written)
        rows = plan.rows_in(extents)
        await self._retry.until_answered("finish", lambda: self._ports.claims.finish(self.number, claim.number, rows))
        await self._advance(claim, plan)
        await self._ports.log.acknowledge(self.number, claim.last)
        self.attempts.succeed()

    async def _plan(self, claim: Claim, frames: Sequence[Frame]) -> FlushPlan:
        began = self._ports.monotonic()
        events = assemble(frames)
        known = await self._look_up(claim, events)
        meters = await self._ports.meters.at_version(claim.version)
        plan = self._decide(claim, events, known, meters)
        self._ports.metrics.observe(Histogram.FLUSH_SECONDS, self._ports.monotonic() - began, "plan")
        return plan

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushPlan:
        return plan_flush(claim, events, known, meters, self._policy.window, self._policy.piece)

    async def _look_up(self, claim: Claim, events: pa.Table) -> KeyLookupResult:
        """The stored rows of the flush's keys, from earlier flushes only: a redo must not find its own rows."""
        query = keys_to_look_up(events, self._current()[1].keys.may_contain)
        seen, events_seen = NO_SEEN_ROWS, NO_SEEN_ROWS
        if query.seen:
            seen = await self._retry.until_answered(
                "look_up", lambda: self._ports.seen.find(self.number, claim.number, query.seen)
            )
        if query.events:
            events_seen = await self._retry.until_answered(
                "look_up", lambda: self._ports.seen.find_events(self.number, claim.number, query.events)
            )
        return KeyLookupResult(seen=seen, events=events_seen)

    async def _apply_all(self, claim: Claim, table: Table, plan: FlushPlan, after: Collection[Table]) -> Extent:
        """Applies the table's pieces, each beginning where the table says that the one before it ends: a rival, or this
        worker before its limits were changed, may have ended it elsewhere. Returns what the table holds then."""
        extent = NOTHING
        while (piece := self._next_piece(plan, table, extent)) is not None:
            extent = await self._apply_once(claim, table, piece, extent.pieces, after)
        return extent

    def _next_piece(self, plan: FlushPlan, table: Table, extent: Extent) -> pa.Table | None:
        began = self._ports.monotonic()
        piece = plan.next_piece(table, extent)
        self._ports.metrics.observe(Histogram.FLUSH_SECONDS, self._ports.monotonic() - began, "plan")
        return piece

    async def _apply_once(
        self, claim: Claim, table: Table, piece: pa.Table, number: int, after: Collection[Table]
    ) -> Extent:
        applied = await self._retry.until_answered(
            table.value, lambda: self._ports.tables.apply(table, self.number, claim.number, piece, number, after)
        )
        if applied.result is ApplyResult.CLOSED:
            raise Superseded(f"partition {self.number}: flush {claim.number} is already done")
        if applied.result is ApplyResult.WRITTEN:
            self.attempts.advance()
        return applied.extent

    async def _advance(self, claim: Claim, plan: FlushPlan) -> None:
        position, growing = self._current()
        self._position = position.after(claim)
        await growing.add(plan.new_hashes, self._position.number)
        self._record(claim, plan.counts, growing.keys.count)

    def _record(self, claim: Claim, counts: FlushCounts, known: int) -> None:
        metrics, partition = self._ports.metrics, str(self.number)
        metrics.count(Counter.FLUSHES, 1, partition)
        metrics.set(Gauge.WATERMARK, claim.number, partition)
        metrics.observe(Histogram.FLUSH_EVENTS, counts.events)
        metrics.count(Counter.COUNTED, counts.accepted, "accepted")
        metrics.count(Counter.COUNTED, counts.duplicates, "duplicate")
        metrics.count(Counter.COUNTED, counts.conflicts, "conflict")
        for code, amount in counts.rejects.items():
            metrics.count(Counter.REJECTS, amount, code)
        metrics.set(Gauge.FILTER_KEYS, known, partition)

    def _current(self) -> tuple[Position, GrowingFilter]:
        if self._position is None or self._filter is None:
            raise Superseded(f"partition {self.number} was reset in the middle of a flush")
        return self._position, self._filter

    async def _frames_of(self, claim: Claim) -> Sequence[Frame]:
        if claim.is_barrier:
            return ()
        frames = await self._ports.log.read(self.number, claim.first, max_bytes=0, last=claim.last)
        if not frames or frames[-1].offset != claim.last:
            # If a rival has done this flush, its frames may be deleted: then this raises Superseded.
            await self._adopt(claim.number)
            raise LogGap(
                f"partition {self.number}: frames {claim.first} to {claim.last} were claimed by flush {claim.number}, "
                "but the log ends before the last of them. It is older than the usage store: restore the two together."
            )
        return frames

    def _check_log_holds(self, offset: int, held_from: int) -> None:
        if held_from > offset:
            raise LogGap(
                f"partition {self.number}: frames {offset} to {held_from - 1} were never counted and are no longer in "
                "the log. Restore the log from a backup that has them; starting without them would lose their events."
            )

    async def _filled_filter(self, below: int) -> BloomFilter:
        return await filled_filter(self._ports.seen, self.number, below, self._policy.filter_keys)
