"""The cluster policy: many processes write, so every check is part of the insert statement that depends on it.

The guard stops a statement that comes late; it cannot see a rival's insert that commits after the guard was evaluated.
For that overlap both use the same token. A receipt that is still missing then belongs to an insert whose token is
stored without its rows (possible only if the two are not committed together): the insert is retried under a fresh
token, but only when the earlier statement can no longer be running.

A guard also requires the tables before it: rows are inserted only where the flush's rows of the tables before them are,
and a flush is marked as done only where all of its rows are. So a worker need not look whether its rows are there
before it goes on: what one insert lacks, every later one refuses. It looks once, after the mark, whether the flush is
done. If it is not, then a rival was there or rows are missing, and the redo after a boot looks at every step.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence

import pyarrow as pa

from schemas.errors import Superseded
from schemas.flush import NOTHING, ApplyOutcome, ApplyResult, Claim, Extent, FlushProgress, FlushRows, Table
from schemas.tables import extent_with
from stream_processors.backends.store.engine import GuardedEngine
from stream_processors.backends.store.write_once import (
    WriteOnceStore,
    backfill_token,
    claim_token,
    done_token,
    rows_token,
)


class GuardedStore(WriteOnceStore[GuardedEngine]):
    """`Claims`, `Tables`, `SeenKeys`, `BackfillTables` and `EventHistory` over an engine shared by many processes."""

    _REMEDY = "Is every replica reachable, and do all of them agree?"

    def __init__(self, engine: GuardedEngine) -> None:
        super().__init__(engine)
        self._first_attempts: dict[int, tuple[int, frozenset[tuple[Table, int]]]] = {}
        """For each partition the flush that this process has claimed and not had to repeat a step of, and the pieces
        that it has inserted."""
        self._just_read: dict[int, tuple[int, Sequence[FlushProgress]]] = {}
        """For each partition the claims read after its last own one."""

    async def progress(self, partition: int) -> FlushProgress | None:
        self._look_from_now_on(partition)
        return await super().progress(partition)

    async def claim(self, claim: Claim) -> None:
        found: Sequence[FlushProgress] = ()

        async def taken() -> bool:
            nonlocal found
            found = await self._engine.claims_from(claim.partition, claim.number)
            return bool(found)

        async def insert(attempt: int) -> None:
            await self._engine.insert_claim_guarded(claim, claim_token(claim.partition, claim.number, attempt))

        self._look_from_now_on(claim.partition)
        await self._insert_until(taken, insert)
        self._just_read[claim.partition] = claim.number, found
        if list(found) == [FlushProgress(claim=claim, done=False)]:
            self._first_attempts[claim.partition] = claim.number, frozenset()

    async def read_back(self, partition: int, number: int) -> Sequence[FlushProgress]:
        """Reads nothing directly after a claim, which has read the claims after its insert."""
        read_number, found = self._just_read.pop(partition, (None, ()))
        return found if read_number == number else await super().read_back(partition, number)

    async def finish(self, partition: int, number: int, rows: FlushRows) -> None:
        async def done() -> bool:
            return await self._engine.is_done(partition, number)

        async def insert(attempt: int) -> None:
            token = done_token(partition, number, attempt)
            await self._engine.insert_done_guarded(partition, number, rows, token)

        is_first_attempt = self._first_attempts.get(partition, (None,))[0] == number
        self._look_from_now_on(partition)
        if is_first_attempt:
            await insert(0)
        elif await self._engine.holds(partition, number, rows.tables):
            await self._insert_until(done, insert)
            return
        if not await done():
            raise _missing_rows(partition, number)

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),
    ) -> ApplyOutcome:
        """WRITTEN also if a rival wrote its piece of this number: the two cases cannot be distinguished, and need not
        be, for the extent says where the piece ends.

        At the first attempt of a flush that is also the answer if nothing was written; then the flush is not finished.
        """
        first_attempt, inserted = self._first_attempts.pop(partition, (None, frozenset()))
        if first_attempt == number and (table, piece) not in inserted:
            extent = await self._insert_first(table, partition, number, rows, piece, after)
            if extent.pieces > piece:
                self._first_attempts[partition] = number, inserted | {(table, piece)}
                return ApplyOutcome(ApplyResult.WRITTEN, extent)
        return await self._apply_with_checks(table, partition, number, rows, piece, after)

    async def _insert_first(
        self, table: Table, partition: int, number: int, rows: pa.Table, piece: int, after: Collection[Table]
    ) -> Extent:
        """What the table holds after the insert, if it was written: a table in one piece is not looked at."""
        token = rows_token(table, partition, number, piece, 0)
        await self._engine.insert_guarded(table, partition, number, piece, rows, token, after)
        extent = NOTHING if piece or table is Table.REJECTS else extent_with(table, NOTHING, rows)
        if extent.whole:
            return extent
        # A rival's pieces may end elsewhere, and only `usage` shows whether one is the last.
        flush_state = await self._engine.flush_state(table, partition, number)
        return NOTHING if flush_state.done else flush_state.extent

    async def _apply_with_checks(
        self, table: Table, partition: int, number: int, rows: pa.Table, piece: int, after: Collection[Table]
    ) -> ApplyOutcome:
        flush_state = await self._engine.flush_state(table, partition, number)
        if flush_state.done:
            return ApplyOutcome(ApplyResult.CLOSED, flush_state.extent)
        if flush_state.extent.pieces > piece:
            return ApplyOutcome(ApplyResult.ALREADY_THERE, flush_state.extent)
        if after and not await self._engine.holds(partition, number, after):
            raise _missing_rows(partition, number)
        found = flush_state

        async def settled() -> bool:
            nonlocal found
            found = await self._engine.flush_state(table, partition, number)
            return found.extent.pieces > piece or found.done

        async def insert(attempt: int) -> None:
            token = rows_token(table, partition, number, piece, attempt)
            await self._engine.insert_guarded(table, partition, number, piece, rows, token, after)

        await self._insert_until(settled, insert)
        return ApplyOutcome(ApplyResult.CLOSED if found.done else ApplyResult.WRITTEN, found.extent)

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        extent = NOTHING

        async def applied() -> bool:
            nonlocal extent
            extent = await self._engine.backfill_extent(table, receipt)
            return extent.pieces > piece

        async def insert(attempt: int) -> None:
            token = backfill_token(table, receipt, piece, attempt)
            await self._engine.insert_backfill_guarded(table, receipt, piece, rows, token)

        if await applied():
            return ApplyOutcome(ApplyResult.ALREADY_THERE, extent)
        await self._insert_until(applied, insert)
        return ApplyOutcome(ApplyResult.WRITTEN, extent)

    async def _appears_late(self, applied: Callable[[], Awaitable[bool]]) -> bool:
        await self._engine.quiesce()
        return await applied()

    def _look_from_now_on(self, partition: int) -> None:
        """Checks every step of the partition's flush, until the next one is claimed."""
        self._first_attempts.pop(partition, None)
        self._just_read.pop(partition, None)


def _missing_rows(partition: int, number: int) -> Superseded:
    return Superseded(f"partition {partition}: rows of flush {number} are missing, or another worker is writing them")
