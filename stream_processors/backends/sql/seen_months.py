"""The months of seen keys in SQL: each is one partition of the table, and goes at once."""

from collections.abc import Sequence

from stream_processors.backends.sql import flush_statements as sql
from stream_processors.backends.sql.client import SqlThreads


class SqlSeenMonths:
    """`SeenMonths` over a SqlClient."""

    def __init__(self, store: SqlThreads) -> None:
        self._store = store

    async def seen_months(self) -> Sequence[int]:
        return [int(month) for (month,) in await self._store.rows(sql.SEEN_MONTHS)]

    async def last_arrival(self, partition: int) -> int | None:
        rows = await self._store.rows(sql.LAST_ARRIVAL, {"p": partition})
        return int(rows[0][0]) if rows else None

    async def holds_replays(self, month: int) -> bool:
        ((keys,),) = await self._store.rows(sql.KEYS_WITHOUT_EVENT, {"month": month})
        return bool(keys)

    async def drop_seen_month(self, month: int) -> None:
        await self._store.command(sql.drop_seen_month(month))
