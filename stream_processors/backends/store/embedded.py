"""The embedded policy: one process owns the data, so no insert comes between a check and the insert that follows it.

After any doubt (a start, an error): check the receipt, insert under a token, check again. If the receipt is still
missing, the insert is retried under a fresh token, because a token can outlive its rows. A rival exists only in this
process (a worker that was replaced but still runs): the engine's exclusive section keeps it out between a check and its
insert.

Without doubt nothing is checked. From the moment at which this process has marked a flush as done, it knows all that is
stored of the flushes after it, for every statement of them is its own: each was answered, none had a token before, and
the section's memory holds what it wrote. An error in the section ends that knowledge.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec
import pyarrow as pa

from schemas.flush import NOTHING, ApplyOutcome, ApplyResult, Claim, FlushProgress, FlushRows, Table
from schemas.tables import extent_with
from stream_processors.backends.store.engine import Engine, KnownFlush
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

        async with self._engine.exclusive(claim.partition) as memory:
            known = memory.known
            if known is not None and known.done and claim.number == known.claim.number + 1:
                await insert(0)
                memory.known = KnownFlush(claim=claim)
            elif known is None or claim.number > known.claim.number:
                memory.known = None
                if not await taken():
                    await self._insert_until(taken, insert)

    async def read_back(self, partition: int, number: int) -> Sequence[FlushProgress]:
        async with self._engine.exclusive(partition) as memory:
            if (known := memory.known) is not None and known.claim.number == number:
                return [FlushProgress(claim=known.claim, done=known.done)]
            return await super().read_back(partition, number)

    async def finish(self, partition: int, number: int, rows: FlushRows) -> None:
        async def done() -> bool:
            return await self._engine.is_done(partition, number)

        async def insert(attempt: int) -> None:
            await self._engine.insert_done(partition, number, rows, done_token(partition, number, attempt))

        async with self._engine.exclusive(partition) as memory:
            known = memory.known
            if known is not None and known.claim.number == number:
                if not known.done:
                    await insert(0)
                    memory.known = msgspec.structs.replace(known, done=True, extents={})
            elif not await done():
                claims = await self._engine.claims_from(partition, number)
                await self._insert_until(done, insert)
                if known is None and len(claims) == 1:
                    # Written here and now, so no flush after it has a claim, a token or a row yet.
                    memory.known = KnownFlush(claim=claims[0].claim, done=True)

    async def apply(
        self,
        table: Table,
        partition: int,
        number: int,
        rows: pa.Table,
        piece: int = 0,
        after: Collection[Table] = (),  # noqa: ARG002 - what was answered here is there
    ) -> ApplyOutcome:
        async def insert(attempt: int) -> None:
            await self._engine.insert(table, rows, rows_token(table, partition, number, piece, attempt))

        async with self._engine.exclusive(partition) as memory:
            known = memory.known
            if known is None or known.claim.number != number:
                return await self._apply_with_checks(table, partition, number, piece, insert)
            if known.done:
                return ApplyOutcome(ApplyResult.CLOSED, NOTHING)
            extent = known.extents.get(table, NOTHING)
            if extent.pieces > piece:
                return ApplyOutcome(ApplyResult.ALREADY_THERE, extent)
            await insert(0)
            extent = extent_with(table, extent, rows)
            memory.known = msgspec.structs.replace(known, extents={**known.extents, table: extent})
            return ApplyOutcome(ApplyResult.WRITTEN, extent)

    async def _apply_with_checks(
        self, table: Table, partition: int, number: int, piece: int, insert: Callable[[int], Awaitable[None]]
    ) -> ApplyOutcome:
        extent = NOTHING

        async def applied() -> bool:
            nonlocal extent
            extent = await self._engine.extent(table, partition, number)
            return extent.pieces > piece

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
