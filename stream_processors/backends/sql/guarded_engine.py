"""The steps of the usage store in SQL, for a store that many processes write to."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import pyarrow as pa

from schemas.errors import StoreFailed
from schemas.flush import Claim, FlushRows, Table
from schemas.tables import flush_receipt
from stream_processors.backends.sql import flush_statements as sql
from stream_processors.backends.sql.client import GuardedAsyncSqlClient, Parameters
from stream_processors.backends.sql.engine import SqlEngine, claim_row, done_row, extent_of_rows
from stream_processors.backends.store.engine import FlushState

Pause = Callable[[float], Awaitable[None]]

SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 1.0
PAUSES = 90
"""Their sum is well above the time limit of any statement: a statement that runs longer is stuck."""


class SqlGuardedEngine(SqlEngine):
    """A `GuardedEngine` over one plain server, which stores a token before its rows and so may keep it without them."""

    def __init__(self, store: GuardedAsyncSqlClient, pause: Pause = asyncio.sleep) -> None:
        super().__init__(store)
        self._guarded = store
        self._pause = pause

    async def flush_state(self, table: Table, partition: int, number: int) -> FlushState:
        place = {"p": partition, "n": number, "receipt": flush_receipt(partition, number)}
        ((found, done),) = await self._guarded.rows(sql.FLUSH_STATE[table], place)
        rows = found if table is Table.REJECTS else [(value,) for value in found]
        return FlushState(extent=extent_of_rows(table, rows), done=bool(done))

    async def holds(self, partition: int, number: int, tables: Collection[Table]) -> bool:
        if not tables:
            return True
        place = {"p": partition, "n": number, "receipt": flush_receipt(partition, number)}
        ((held,),) = await self._guarded.rows(f"SELECT {sql.all_held(tables)}", place)
        return bool(held)

    async def insert_guarded(
        self,
        table: Table,
        partition: int,
        number: int,
        piece: int,
        rows: pa.Table,
        token: str,
        after: Collection[Table] = (),
    ) -> None:
        place = {"p": partition, "n": number, "piece": piece, "receipt": flush_receipt(partition, number)}
        await self._insert(table.value, rows, sql.guarded_by(sql.NOT_APPLIED[table], after), place, token)

    async def insert_backfill_guarded(self, table: Table, receipt: str, piece: int, rows: pa.Table, token: str) -> None:
        await self._insert(table.value, rows, sql.NOT_BACKFILLED[table], {"receipt": receipt, "piece": piece}, token)

    async def insert_claim_guarded(self, claim: Claim, token: str) -> None:
        place = {"p": claim.partition, "n": claim.number}
        await self._insert("flushes", claim_row(claim), sql.UNCLAIMED, place, token)

    async def insert_done_guarded(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        place = {"p": partition, "n": number, "pieces": rows.pieces, "receipt": flush_receipt(partition, number)}
        await self._insert("flushes", done_row(partition, number, rows), sql.all_written(rows), place, token)

    async def quiesce(self) -> None:
        """Waits for the inserts in progress. A statement the store has not yet received evaluates its guard later."""
        running, pause = await self._running(), SHORTEST_PAUSE
        for _ in range(PAUSES):
            if not running:
                return
            await self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            running &= await self._running()
        raise StoreFailed(
            f"the usage store still works on {len(running)} inserts sent over a minute ago; is its disk stalled?"
        )

    async def _running(self) -> set[str]:
        return {query for (query,) in await self._guarded.rows(sql.RUNNING_INSERTS)}

    async def _insert(self, table: str, rows: pa.Table, guard: str, parameters: Parameters, token: str) -> None:
        await self._guarded.insert_where(table, rows, guard, parameters, token)


class SqlReplicatedEngine(SqlGuardedEngine):
    """A `GuardedEngine` over ReplicatedMergeTree, where token and rows are committed together.

    So no token is kept without its rows, and a fresh one could only duplicate rows of another replica. When an insert
    was answered but its rows are not visible, the caller retries the step under the same token.
    """

    async def _broken_parts(self) -> Sequence[str]:
        """None: a replica fetches what it cannot read from another one, and leaves the broken part aside."""
        return ()

    async def quiesce(self) -> None:
        raise StoreFailed("the usage store answered an insert whose rows this replica does not show yet")
