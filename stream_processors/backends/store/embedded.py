"""The embedded policy: one process owns the data, so no insert comes between a check and the insert that follows it.

Check the receipt, insert under a token, check again. If the receipt is still missing, the insert is retried under a
fresh token, because a token can outlive its rows. A rival exists only in this process (a worker that was replaced but
still runs): the engine's exclusive section keeps it out between a check and its insert.
"""

import pyarrow as pa

from schemas.flush import NOTHING, ApplyOutcome, ApplyResult, Claim, Table
from stream_processors.backends.store.engine import Engine
from stream_processors.backends.store.write_once import (
    WriteOnceStore,
    backfill_token,
    claim_token,
    done_token,
    rows_token,
)


class EmbeddedStore(WriteOnceStore[Engine]):
    """`Claims`, `Tables`, `SeenKeys`, `BackfillTables` and `EventHistory` over an engine that this process owns."""

    _REMEDY = "Is its disk healthy, and does nothing else write to or delete from it?"

    async def claim(self, claim: Claim) -> None:
        async def taken() -> bool:
            return bool(await self._engine.claims_from(claim.partition, claim.number))

        async def insert(attempt: int) -> None:
            await self._engine.insert_claim(claim, claim_token(claim.partition, claim.number, attempt))

        async with self._engine.exclusive(claim.partition):
            if not await taken():
                await self._insert_until(taken, insert)

    async def finish(self, partition: int, number: int) -> None:
        async def done() -> bool:
            return await self._engine.is_done(partition, number)

        async def insert(attempt: int) -> None:
            await self._engine.insert_done(partition, number, done_token(partition, number, attempt))

        async with self._engine.exclusive(partition):
            if not await done():
                await self._insert_until(done, insert)

    async def apply(self, table: Table, partition: int, number: int, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        extent = NOTHING

        async def applied() -> bool:
            nonlocal extent
            extent = await self._engine.extent(table, partition, number)
            return extent.pieces > piece

        async def insert(attempt: int) -> None:
            await self._engine.insert(table, rows, rows_token(table, partition, number, piece, attempt))

        async with self._engine.exclusive(partition):
            flush_state = await self._engine.flush_state(table, partition, number)
            if flush_state.done:
                return ApplyOutcome(ApplyResult.CLOSED, flush_state.extent)
            if flush_state.extent.pieces > piece:
                return ApplyOutcome(ApplyResult.ALREADY_THERE, flush_state.extent)
            await self._insert_until(applied, insert)
            return ApplyOutcome(ApplyResult.WRITTEN, extent)

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        extent = NOTHING

        async def applied() -> bool:
            nonlocal extent
            extent = await self._engine.backfill_extent(table, receipt)
            return extent.pieces > piece

        async def insert(attempt: int) -> None:
            await self._engine.insert(table, rows, backfill_token(table, receipt, piece, attempt))

        async with self._engine.exclusive(receipt):
            if await applied():
                return ApplyOutcome(ApplyResult.ALREADY_THERE, extent)
            await self._insert_until(applied, insert)
            return ApplyOutcome(ApplyResult.WRITTEN, extent)
