"""One partition's flushes, one at a time: claim, look up, insert, done, acknowledge.

Every `await` on a port is a place where this worker may die, pause, or meet a rival. The order of the steps and
every check between them closes a hole that lost or doubled events in a simpler protocol; the simulator in
tests/simulator breaks them one by one to prove that it would notice.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pyarrow as pa

from schemas.errors import ClaimMismatch, LogGap, StoreFailed, Superseded
from schemas.flush import ApplyResult, Claim, SeenRows, Table
from schemas.frame import Frame
from schemas.meter import MeterSet
from schemas.metrics import Counter, Gauge, Histogram, Metrics, NullMetrics
from stream_processors.core.bloom import BloomFilter
from stream_processors.core.dedupe import KeyLookupResult, keys_to_look_up
from stream_processors.core.flush_plan import FlushRows, assemble, frames_for_one_flush, plan_flush
from stream_processors.flushing.growing_filter import GrowingFilter, filled_filter
from stream_processors.flushing.policy import FlushPolicy, Pause
from stream_processors.flushing.retry import Attempts, Retry
from stream_processors.ports import Claims, FrameLog, MeterSets, SeenKeys, Tables

NO_SEEN_ROWS = SeenRows([], [], [])


class FlushPorts(msgspec.Struct, frozen=True, kw_only=True):
    """All that a partition reaches of the outside."""

    log: FrameLog
    claims: Claims
    tables: Tables
    seen: SeenKeys
    meters: MeterSets
    pause: Pause
    metrics: Metrics = NullMetrics()
    monotonic: Callable[[], float] = time.perf_counter


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where the partition stands between two flushes."""

    number: int
    offset: int
    version: int

    def after(self, claim: Claim) -> "Position":
        return Position(number=claim.number + 1, offset=claim.last + 1, version=claim.version)


class Partition:
    """Owns what is remembered of one partition: a position and a filter, both thrown away at any doubt."""

    def __init__(self, number: int, ports: FlushPorts, policy: FlushPolicy) -> None:
        self.number = number
        self._ports = ports
        self.attempts = Attempts(ports.monotonic)
        self._retry = Retry(self.attempts, ports.pause, ports.metrics, ports.monotonic)
        self._policy = policy
        self._position: Position | None = None
        self._filter: GrowingFilter | None = None

    @property
    def position(self) -> Position | None:
        """None before the boot, and after anything that cast doubt."""
        return self._position

    def reset(self) -> None:
        """Throw away everything remembered: the next step boots."""
        self._position = None
        self._filter = None

    async def boot(self) -> None:
        """Read the truth from the store, and redo the last flush if it is not known to be done."""
        self.reset()
        # Before the claims are read: what a rival counts after that, and lets go of, is no gap.
        held_from = await self._ports.log.first_offset(self.number)
        progress = await self._ports.claims.progress(self.number)
        # Only now the filter: filled before the claims are read, it could miss a rival's flush in between.
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

    async def step(self) -> int:
        """Flush what is waiting, up to the policy's size; how many frames that were.

        0 says that nothing is waiting (or that a rival was met and the next step will boot).
        """
        if self._position is None:
            await self.boot()
        position = self._position
        if position is None:
            return 0
        waiting = await self._ports.log.read(self.number, position.offset, max_bytes=self._policy.max_bytes)
        if waiting and waiting[0].offset > position.offset and await self._was_truncated(position.offset):
            # A rival has counted them, or retention has deleted them: the boot finds out which.
            self.reset()
            return 0
        frames = frames_for_one_flush(waiting, self._policy.max_raw_bytes)
        newest = await self._ports.meters.newest_version()
        if not frames and newest <= position.version:
            return 0
        proposal = self._propose(position, frames, newest)
        await self._guarded(self._flush(proposal, frames))
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
            # The version never falls: what counted with a newer set once must not be counted with an older one.
            version=max(newest, position.version),
        )

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Do the work; whatever interrupts it casts doubt on all that is remembered."""
        try:
            await work
        except Superseded:
            self.reset()
        except BaseException:
            self.reset()
            raise

    async def _redo(self, number: int) -> None:
        """Finish a flush that was claimed, by whomever, with exactly the claim's frames and version."""
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
        """Propose, and read back who won."""

        async def propose_and_read_back() -> Claim:
            await self._ports.claims.claim(proposal)
            return await self._adopt(proposal.number)

        return await self._retry.until_answered("claim", propose_and_read_back)

    async def _adopt(self, number: int) -> Claim:
        """The one claim of this number, whole: its range and its version, whoever made it."""
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
        """Everything after the claim; a redo of a claimed flush enters here."""
        rows = await self._plan(claim, frames)
        for table, block in rows.in_order():
            await self._apply_once(claim, table, block)
        await self._retry.until_answered("finish", lambda: self._ports.claims.finish(self.number, claim.number))
        await self._advance(claim, rows)
        await self._ports.log.acknowledge(self.number, claim.last)
        self.attempts.succeed()

    async def _plan(self, claim: Claim, frames: Sequence[Frame]) -> FlushRows:
        began = self._ports.monotonic()
        events = assemble(frames)
        known = await self._look_up(claim, events)
        meters = await self._ports.meters.at_version(claim.version)
        rows = self._decide(claim, events, known, meters)
        self._ports.metrics.observe(Histogram.FLUSH_SECONDS, self._ports.monotonic() - began, "plan")
        return rows

    def _decide(self, claim: Claim, events: pa.Table, known: KeyLookupResult, meters: MeterSet) -> FlushRows:
        return plan_flush(claim, events, known, meters, self._policy.window)

    async def _look_up(self, claim: Claim, events: pa.Table) -> KeyLookupResult:
        """What is known of the flush's keys from flushes before it; never from itself, or a redo would drop its own."""
        question = keys_to_look_up(events, self._current()[1].keys.may_contain)
        seen, stored = NO_SEEN_ROWS, NO_SEEN_ROWS
        if question.seen:
            seen = await self._retry.until_answered(
                "look_up", lambda: self._ports.seen.find(self.number, claim.number, question.seen)
            )
        if question.events:
            stored = await self._retry.until_answered(
                "look_up", lambda: self._ports.seen.find_events(self.number, claim.number, question.events)
            )
        return KeyLookupResult(seen=seen, events=stored)

    async def _apply_once(self, claim: Claim, table: Table, block: pa.Table) -> None:
        if not block.num_rows:
            return
        outcome = await self._retry.until_answered(
            table.value, lambda: self._ports.tables.apply(table, self.number, claim.number, block)
        )
        if outcome is ApplyResult.CLOSED:
            raise Superseded(f"partition {self.number}: flush {claim.number} is already done")

    async def _advance(self, claim: Claim, rows: FlushRows) -> None:
        position, growing = self._current()
        self._position = position.after(claim)
        await growing.add(rows.new_hashes, self._position.number)
        self._record(claim, rows, growing.keys.count)

    def _record(self, claim: Claim, rows: FlushRows, known: int) -> None:
        metrics, partition = self._ports.metrics, str(self.number)
        metrics.count(Counter.FLUSHES, 1, partition)
        metrics.set(Gauge.WATERMARK, claim.number, partition)
        metrics.observe(Histogram.FLUSH_EVENTS, rows.counts.events)
        metrics.count(Counter.COUNTED, rows.counts.accepted, "accepted")
        metrics.count(Counter.COUNTED, rows.counts.duplicates, "duplicate")
        metrics.count(Counter.COUNTED, rows.counts.conflicts, "conflict")
        for code, amount in rows.counts.rejects.items():
            metrics.count(Counter.REJECTS, amount, code)
        metrics.set(Gauge.FILTER_KEYS, known, partition)

    def _current(self) -> tuple[Position, GrowingFilter]:
        if self._position is None or self._filter is None:
            raise Superseded(f"partition {self.number} was given up in the middle of a flush")
        return self._position, self._filter

    async def _frames_of(self, claim: Claim) -> Sequence[Frame]:
        if claim.is_barrier:
            return ()
        frames = await self._ports.log.read(self.number, claim.first, max_bytes=0, last=claim.last)
        if not frames or frames[-1].offset != claim.last:
            # A rival that has done this flush has let its frames go: then this raises Superseded.
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
