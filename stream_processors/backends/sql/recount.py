"""Usage counted anew from the raw events, up to a watermark: what an audit holds against an invoice line.

The result is the usage of the flushes up to the watermark, because it is made of the same events (no flush's usage
is ever visible before its events), by the same `measure`, folded by the same rules:

- events up to the watermark, of flushes whose meter set had the meter, or which its backfill covers. Only archiving
  ends that: flushes from the first with a set at or beyond `archived_version` are left out;
- without those the meter rejected;
- and rejects that were tried again up to the watermark, unless that try was rejected too.

While a meter's backfill runs, the recount is ahead of the usage: it counts the past that the backfill has yet to.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from schemas.flush import Watermark
from schemas.tables import EVENTS, USAGE, reject_id
from schemas.timestamps import SECOND
from schemas.usage import UsageQuery, UsageResult
from stream_processors.backends.reading.cells import page_of
from stream_processors.backends.reading.cursor import Key
from stream_processors.backends.reading.fold import fold
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.reading.windows import windows_between
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.flush_table import FlushTable
from stream_processors.backends.sql.recount_query import recounted_events, recounted_rejects
from stream_processors.core.measure import measure
from stream_processors.core.merge import merge_usage

EVENTS_AT_ONCE = 200_000
"""What is held in memory at a time."""


class SqlRecount:
    """Counts from `events` what `usage` has already added up."""

    def __init__(self, store: AsyncSqlClient, replayed: ReplayLookup) -> None:
        self._store = store
        self._replayed = replayed
        self._flushes = FlushTable(store)

    async def usage_at(self, query: UsageQuery, watermark: Watermark) -> UsageResult:
        """The answer to the query from the events of these flushes and earlier ones, and no others."""
        windows = windows_between(query.window, query.timezone, query.start // SECOND, query.end // SECOND)
        usage: pa.Table = USAGE.empty_table()
        async for events in self._counted_events(query, watermark):
            usage = merge_usage([usage, measure(events, [query.meter], month=0).usage], month=0)
        rows, cursor = page_of(fold(usage, query, windows), query, windows)
        return UsageResult(rows=rows, watermark=watermark, next_cursor=cursor)

    async def _counted_events(self, query: UsageQuery, watermark: Watermark) -> AsyncIterator[pa.Table]:
        last = await self._last_counted(query, watermark)
        after: Key | None = None
        while True:
            statement = recounted_events(query, last, after, EVENTS_AT_ONCE)
            events = (await self._store.query(statement.sql, statement.params)).cast(EVENTS)
            yield events
            if events.num_rows < EVENTS_AT_ONCE:
                break
            after = tuple(events[column][-1].as_py() for column in ("p", "n", "offset", "place"))
        yield await self._replayed_rejects(query, watermark)

    async def _last_counted(self, query: UsageQuery, watermark: Watermark) -> dict[int, int]:
        """The last flush of each partition that the meter was part of."""
        if query.meter.archived_version is None:
            return watermark.flushes
        without = await self._flushes.first_with(query.meter.archived_version)
        return {p: min(n, without.get(p, n + 1) - 1) for p, n in watermark.flushes.items() if without.get(p) != 0}

    async def _replayed_rejects(self, query: UsageQuery, watermark: Watermark) -> pa.Table:
        """The rejects that count after all, as events that arrived when they were tried again."""
        statement = recounted_rejects(query)
        rejects = (await self._store.query(statement.sql, statement.params)).to_pylist()
        named = {_id(row, query): row for row in rejects}
        arrivals = await self._replayed.arrivals(query.account, list(named), lambda p: watermark.flushes.get(p, -1) + 1)
        failed = {row["replay_of"] for row in rejects}
        return _as_events([named[reject] | {"arrival": at} for reject, at in arrivals.items() if reject not in failed])


def _id(row: Mapping[str, Any], query: UsageQuery) -> str:
    return reject_id(row["p"], row["n"], row["offset"], row["place"], query.meter.code, row["origin"])


def _as_events(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in EVENTS.names} for row in rows], schema=EVENTS)
