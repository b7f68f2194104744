"""The cluster policy: many processes write, so every check is part of the insert statement that depends on it.

The guard stops a statement that comes late; it cannot see a rival's insert that commits after the guard was evaluated.
For that overlap both use the same token. A receipt that is still missing then belongs to an insert whose token is
stored without its rows (possible only if the two are not committed together): the insert is retried under a fresh
token, but only when the earlier statement can no longer be running.
"""

from collections.abc import Awaitable, Callable

import pyarrow as pa

from schemas.flush import NOTHING, ApplyOutcome, ApplyResult, Claim, FlushRows, Table
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

    async def claim(self, claim: Claim) -> None:
        async def taken() -> bool:
            return bool(await self._engine.claims_from(claim.partition, claim.number))

        async def insert(attempt: int) -> None:
            await self._engine.insert_claim_guarded(claim, claim_token(claim.partition, claim.number, attempt))

        await self._insert_until(taken, insert)

    async def finish(self, partition: int, number: int, rows: FlushRows) -> None:
        async def done() -> bool:
            return await self._engine.is_done(partition, number)

        async def insert(attempt: int) -> None:
            await self._engine.insert_done_guarded(partition, number, rows, done_token(partition, number, attempt))

        await self._insert_until(done, insert)

    async def apply(self, table: Table, partition: int, number: int, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        """WRITTEN also if a rival wrote its piece of this number: the two cases cannot be distinguished, and need not
        be, for the extent says where the piece ends."""
        flush_state = await self._engine.flush_state(table, partition, number)
        if flush_state.extent.pieces > piece and not flush_state.done:
            return ApplyOutcome(ApplyResult.ALREADY_THERE, flush_state.extent)

        async def settled() -> bool:
            nonlocal flush_state
            flush_state = await self._engine.flush_state(table, partition, number)
            return flush_state.extent.pieces > piece or flush_state.done

        async def insert(attempt: int) -> None:
            token = rows_token(table, partition, number, piece, attempt)
            await self._engine.insert_guarded(table, partition, number, piece, rows, token)

        await self._insert_until(settled, insert)
        return ApplyOutcome(ApplyResult.CLOSED if flush_state.done else ApplyResult.WRITTEN, flush_state.extent)

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
