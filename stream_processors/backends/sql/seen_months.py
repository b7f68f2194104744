"""The months of seen keys in SQL: each is one partition of the table, and is dropped at once.

Keys that outlive their month are in the partition of month 0, which is never dropped.
"""

from collections.abc import Sequence

from schemas.errors import StoreFailed
from stream_processors.backends.sql.client import AsyncSqlClient

RUN = 64
"""How many flushes one statement covers: their keys must fit into its memory."""

MONTHS = "SELECT DISTINCT month FROM seen WHERE month > 0 ORDER BY month"

LAST_ARRIVAL = """\
SELECT max(arrival) FROM seen
WHERE p = {p:UInt16} AND month > 0 AND month = (SELECT max(month) FROM seen WHERE p = {p:UInt16})
HAVING count() > 0"""

# Every event of a flush has one key, and both are in one month. A replayed reject adds a key, but no event.
RUNS_WITH_REPLAYS = """\
SELECT p, intDiv(n, {run:UInt64}) AS number FROM (
    SELECT p, n, toInt64(1) AS surplus FROM seen WHERE month = {month:UInt32}
    UNION ALL SELECT p, n, toInt64(-1) FROM events WHERE month = {month:UInt32})
GROUP BY p, number HAVING sum(surplus) != 0"""

_REPLAYS = """\
FROM seen WHERE month = {month:UInt32} AND p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64}
AND key_hash NOT IN (SELECT key_hash FROM events WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64})"""

PRESERVE_REPLAYS = f"INSERT INTO seen SELECT p, key_hash, body_hash, arrival, n, 0 {_REPLAYS}"

COUNT_UNPRESERVED = f"""\
SELECT count() {_REPLAYS} AND key_hash NOT IN (SELECT key_hash FROM seen WHERE month = 0 AND p = {{p:UInt16}})"""


class SqlSeenMonths:
    """`SeenMonths` over a SqlClient."""

    def __init__(self, store: AsyncSqlClient) -> None:
        self._store = store

    async def seen_months(self) -> Sequence[int]:
        return [int(month) for (month,) in await self._store.rows(MONTHS)]

    async def last_arrival(self, partition: int) -> int | None:
        rows = await self._store.rows(LAST_ARRIVAL, {"p": partition})
        return int(rows[0][0]) if rows else None

    async def preserve_replay_keys(self, month: int) -> None:
        for partition, number in await self._store.rows(RUNS_WITH_REPLAYS, {"month": month, "run": RUN}):
            first = number * RUN
            run = {"month": month, "p": partition, "first": first, "last": first + RUN - 1}
            await self._store.command(PRESERVE_REPLAYS, run)
            ((missing,),) = await self._store.rows(COUNT_UNPRESERVED, run)
            if missing:
                raise StoreFailed(f"{missing} keys of rejects replayed in {month} were not preserved; the month stays")

    async def drop_seen_month(self, month: int) -> None:
        # A partition cannot be a parameter. The limit of 0 lifts the store's guard against dropping more than 50 GB.
        await self._store.command(f"ALTER TABLE seen DROP PARTITION {month:d} SETTINGS max_partition_size_to_drop = 0")
