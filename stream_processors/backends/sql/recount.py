"""Recounts usage from the raw events up to a watermark: what an audit compares with an invoice line."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from schemas.tables import EVENTS, USAGE, reject_id
from schemas.timestamps import SECOND
from schemas.usage import UsageQuery, UsageResult
from schemas.watermark import Watermark
from stream_processors.backends.reading.cells import page_of
from stream_processors.backends.reading.cursor import Key
from stream_processors.backends.reading.fold import fold
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.reading.windows import windows_between
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.flush_table import FlushTable
from stream_processors.backends.sql.usage_query import SqlQuery
from stream_processors.core.measure import measure
from stream_processors.core.usage_rows import merge_usage

_PLACE = "p, n, offset, place"

# An event that a meter rejected is not part of that meter, however today's code would measure it. Events and rejects of
# a partition are in one shard, so each shard excludes its own.
EVENTS_UP_TO = """\
SELECT {columns}
FROM events
WHERE {conditions}
  AND ({place}) NOT IN (
    SELECT {place} FROM rejects
    WHERE account = {{account:String}} AND meter = {{meter:String}}
      AND timestamp >= fromUnixTimestamp64Micro({{start:Int64}}, 'UTC')
      AND timestamp < fromUnixTimestamp64Micro({{end:Int64}}, 'UTC'))
ORDER BY p, n, offset, place
LIMIT {{limit:UInt64}}
SETTINGS distributed_product_mode = 'local'"""

REJECTS_OF = """\
SELECT {columns}, origin, replay_of
FROM rejects
WHERE meter = {{meter:String}} AND {conditions}
ORDER BY p, n, offset, place, origin"""


def recounted_events(query: UsageQuery, last: Mapping[int, int], after: Key | None, limit: int) -> SqlQuery:
    """The query's events up to flush `last` of each partition, in order of place, after the place `after`."""
    params: dict[str, Any] = {"meter": query.meter.code, "limit": limit}
    conditions = [*_conditions_of(query, params), _up_to(last, params)]
    if after is not None:
        names = ("after_p", "after_n", "after_offset", "after_place")
        params |= dict(zip(names, after, strict=True))
        conditions.append(
            f"({_PLACE}) > ({{after_p:UInt16}}, {{after_n:UInt64}}, {{after_offset:UInt64}}, {{after_place:UInt32}})"
        )
        conditions.append("p >= {after_p:UInt16}")
    sql = EVENTS_UP_TO.format(columns=", ".join(EVENTS.names), conditions=" AND ".join(conditions), place=_PLACE)
    return SqlQuery(sql, params)


def recounted_rejects(query: UsageQuery) -> SqlQuery:
    """All rejects of the query's meter and range, including those of replays."""
    params: dict[str, Any] = {"meter": query.meter.code}
    columns = ", ".join(
        "toUInt64(0) AS body_hash" if name == "body_hash" else _NO_HASH.get(name, name) for name in EVENTS.names
    )
    return SqlQuery(REJECTS_OF.format(columns=columns, conditions=" AND ".join(_conditions_of(query, params))), params)


_NO_HASH = {"key_hash": "toFixedString('', 16) AS key_hash"}


def _conditions_of(query: UsageQuery, params: dict[str, Any]) -> Iterator[str]:
    params |= {"account": query.account, "event_name": query.meter.event_name, "start": query.start, "end": query.end}
    yield "account = {account:String} AND event_name = {event_name:String}"
    yield "timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')"
    yield "timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC')"
    if query.customers:
        params["customers"] = list(query.customers)
        yield "customer_id IN {customers:Array(String)}"


def _up_to(last: Mapping[int, int], params: dict[str, Any]) -> str:
    terms = []
    for partition, number in sorted(last.items()):
        params |= {f"p{partition}": partition, f"n{partition}": number}
        terms.append(f"(p = {{p{partition}:UInt16}} AND n <= {{n{partition}:UInt64}})")
    return f"({' OR '.join(terms)})" if terms else "false"


EVENTS_PER_READ = 200_000
"""How many events are in memory at a time."""


class RecountedRows(NamedTuple):
    """Rows of the layout USAGE, of month 0: one for each customer, minute and group, in order."""

    usage: pa.Table
    events: int
    """How many events were read for them."""


class SqlRecount:
    """Calculates usage from `events`, independently of `usage`."""

    def __init__(self, store: AsyncSqlClient, replayed: ReplayLookup) -> None:
        self._store = store
        self._replayed = replayed
        self._flushes = FlushTable(store)

    async def usage_at(self, query: UsageQuery, watermark: Watermark) -> UsageResult:
        """The query's result, calculated from the events up to the watermark."""
        windows = windows_between(query.window, query.timezone, query.start // SECOND, query.end // SECOND)
        usage = (await self.rows_at(query, watermark)).usage
        rows, cursor = page_of(fold(usage, query, windows), query, windows)
        return UsageResult(rows=rows, watermark=watermark, next_cursor=cursor)

    async def rows_at(self, query: UsageQuery, watermark: Watermark) -> RecountedRows:
        """The rows that `usage` ought to have of the query's meter, range and customers, up to the watermark."""
        usage: pa.Table = USAGE.empty_table()
        read = 0
        async for events in self._counted_events(query, watermark):
            read += events.num_rows
            usage = merge_usage([usage, measure(events, [query.meter], month=0).usage], month=0)
        return RecountedRows(usage, read)

    async def _counted_events(self, query: UsageQuery, watermark: Watermark) -> AsyncIterator[pa.Table]:
        last = await self._last_counted(query, watermark)
        after: Key | None = None
        while True:
            statement = recounted_events(query, last, after, EVENTS_PER_READ)
            events = (await self._store.query(statement.sql, statement.params)).cast(EVENTS)
            yield events
            if events.num_rows < EVENTS_PER_READ:
                break
            after = tuple(events[column][-1].as_py() for column in ("p", "n", "offset", "place"))
        yield await self._replayed_rejects(query, watermark)

    async def _last_counted(self, query: UsageQuery, watermark: Watermark) -> dict[int, int]:
        """The last flush of each partition that was counted with the meter, up to the watermark."""
        if query.meter.archived_version is None:
            return watermark.flushes
        without = await self._flushes.first_with(query.meter.archived_version)
        return {p: min(n, without.get(p, n + 1) - 1) for p, n in watermark.flushes.items() if without.get(p) != 0}

    async def _replayed_rejects(self, query: UsageQuery, watermark: Watermark) -> pa.Table:
        """The rejects that a replay counted, as events that arrived with the replay."""
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
