"""Reads the table of flushes: the watermark, and from which flush a meter set applies."""

from collections.abc import Mapping

from stream_processors.backends.sql.client import AsyncSqlClient

# Partitions advance together, so little is left to read after the lowest known flush; new partitions are read whole.
DONE = """\
SELECT p, max(n) FROM flushes
WHERE kind = 'done' AND (n >= {oldest:UInt64} OR p NOT IN {known:Array(UInt16)})
GROUP BY p"""

FIRST_WITH_VERSION = """\
SELECT p, min(n) FROM flushes WHERE kind = 'claim' AND ver >= {version:UInt64} GROUP BY p"""

CLAIM_VERSION = """\
SELECT ver FROM flushes WHERE p = {p:UInt16} AND n = {n:UInt64} AND kind = 'claim' LIMIT 1"""


class FlushTable:
    """Reads `flushes`. It remembers the last flushes done, and so reads only the end of the table."""

    def __init__(self, store: AsyncSqlClient) -> None:
        self._store = store
        self._known: Mapping[int, int] = {}

    async def done(self) -> dict[int, int]:
        """The number of the last flush done, for each partition that has one."""
        known = self._known
        params = {"known": list(known), "oldest": min(known.values(), default=0)}
        found = {**known, **{int(p): int(n) for p, n in await self._store.rows(DONE, params)}}
        self._known = found
        return dict(found)

    async def first_with(self, version: int) -> dict[int, int]:
        """The number of the first flush counted with this meter set or a later one, for each partition that has one."""
        rows = await self._store.rows(FIRST_WITH_VERSION, {"version": version})
        return {int(p): int(n) for p, n in rows}

    async def version_of(self, partition: int, number: int) -> int | None:
        """The version of the meter set a flush was counted with; None if it has no claim."""
        rows = await self._store.rows(CLAIM_VERSION, {"p": partition, "n": number})
        return int(rows[0][0]) if rows else None
