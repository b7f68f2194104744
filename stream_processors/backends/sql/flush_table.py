"""What the table of flushes tells a reader: the watermark, and where a meter set comes into force."""

from collections.abc import Mapping
from typing import Any

from stream_processors.backends.sql.client import SqlThreads

FIRST_WITH_VERSION = """\
SELECT p, min(n) FROM flushes WHERE kind = 'claim' AND ver >= {version:UInt64} GROUP BY p"""

CLAIM_VERSION = """\
SELECT ver FROM flushes WHERE p = {p:UInt16} AND n = {n:UInt64} AND kind = 'claim' LIMIT 1"""


class FlushTable:
    """Reads `flushes`. Remembers how far it was, since what is done stays done, to read only the end of the table."""

    def __init__(self, store: SqlThreads) -> None:
        self._store = store
        self._known: Mapping[int, int] = {}

    async def done(self) -> dict[int, int]:
        """Partition → number of its last flush done, for those that have one."""
        known = self._known
        sql, params = done_statement(known)
        found = {**known, **{int(p): int(n) for p, n in await self._store.rows(sql, params)}}
        self._known = found
        return dict(found)

    async def first_with(self, version: int) -> dict[int, int]:
        """Partition → number of its first flush counted with this meter set or a later one, where there is one."""
        rows = await self._store.rows(FIRST_WITH_VERSION, {"version": version})
        return {int(p): int(n) for p, n in rows}

    async def version_of(self, partition: int, number: int) -> int | None:
        """The meter set a flush was counted with."""
        rows = await self._store.rows(CLAIM_VERSION, {"p": partition, "n": number})
        return int(rows[0][0]) if rows else None


def done_statement(known: Mapping[int, int]) -> tuple[str, dict[str, Any]]:
    """Only rows from the known ends on: the table is ordered by partition and number."""
    params: dict[str, Any] = {"known": list(known)}
    ends = ["p NOT IN {known:Array(UInt16)}"]
    for partition, number in known.items():
        params |= {f"p{partition}": partition, f"n{partition}": number}
        ends.append(f"(p = {{p{partition}:UInt16}} AND n >= {{n{partition}:UInt64}})")
    return f"SELECT p, max(n) FROM flushes WHERE kind = 'done' AND ({' OR '.join(ends)}) GROUP BY p", params
