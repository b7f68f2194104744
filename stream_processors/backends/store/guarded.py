"""The cluster policy: many processes write, so every check is part of the insert statement that depends on it.

The guard stops whatever is late; it cannot see a rival's insert that commits after the guard was evaluated. For that
overlap both use the same token. A receipt still missing after all that is the token of an insert whose rows were lost
(possible only where token and rows are not committed together): it is repeated under a fresh token, but only when the
earlier statement can no longer be running.
"""

from collections.abc import Awaitable, Callable, Sequence

import pyarrow as pa

from schemas.errors import StoreFailed
from schemas.flush import Applied, Claim, Progress, Table
from stream_processors.backends.store.engine import GuardedEngine
from stream_processors.backends.store.insert_tokens import backfill_token, claim_token, done_token, rows_token
from stream_processors.backends.store.lookups import Lookups
from stream_processors.backends.store.progress import the_only

ATTEMPTS = 20


class GuardedStore(Lookups):
    """`Claims`, `Tables`, `SeenKeys`, `BackfillTables` and `EventHistory` over an engine shared by many processes."""

    def __init__(self, engine: GuardedEngine) -> None:
        super().__init__(engine)
        self._engine = engine

    async def progress(self, partition: int) -> Progress | None:
        return the_only(partition, await self._engine.highest(partition))

    async def read_back(self, partition: int, number: int) -> Sequence[Progress]:
        return await self._engine.claims_from(partition, number)

    async def claim(self, claim: Claim) -> None:
        async def taken() -> bool:
            return bool(await self._engine.claims_from(claim.partition, claim.number))

        async def insert(attempt: int) -> None:
            await self._engine.insert_claim_guarded(claim, claim_token(claim.partition, claim.number, attempt))

        await self._until(taken, insert)

    async def finish(self, partition: int, number: int) -> None:
        async def done() -> bool:
            return await self._engine.is_done(partition, number)

        async def insert(attempt: int) -> None:
            await self._engine.insert_done_guarded(partition, number, done_token(partition, number, attempt))

        await self._until(done, insert)

    async def apply(self, table: Table, partition: int, number: int, rows: pa.Table) -> Applied:
        """WRITTEN also where a rival wrote the very same rows: which of the two it was, nobody can tell or needs to."""
        standing = await self._engine.standing(table, partition, number)
        if standing.there and not standing.done:
            return Applied.ALREADY_THERE

        async def settled() -> bool:
            nonlocal standing
            standing = await self._engine.standing(table, partition, number)
            return standing.there or standing.done

        async def insert(attempt: int) -> None:
            token = rows_token(table, partition, number, attempt)
            await self._engine.insert_guarded(table, partition, number, rows, token)

        await self._until(settled, insert)
        return Applied.CLOSED if standing.done else Applied.WRITTEN

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table) -> Applied:
        async def there() -> bool:
            return await self._engine.has_backfill(table, receipt)

        async def insert(attempt: int) -> None:
            await self._engine.insert_backfill_guarded(table, receipt, rows, backfill_token(table, receipt, attempt))

        if await there():
            return Applied.ALREADY_THERE
        await self._until(there, insert)
        return Applied.WRITTEN

    async def _until(self, there: Callable[[], Awaitable[bool]], insert: Callable[[int], Awaitable[None]]) -> None:
        for attempt in range(ATTEMPTS):
            await insert(attempt)
            if await there():
                return
            await self._engine.quiesce()
            if await there():
                return
        raise StoreFailed(
            f"{ATTEMPTS} inserts were answered, but their rows are not in the usage store. "
            "Is every replica reachable, and do all of them agree?"
        )
