"""Compares usage with a recount from the raw events, on a store that is written meanwhile.

Each slice is exact: the rows are read at a watermark (`usage_reader`), and recounted from the events up to it
(`recount`). A slice is a range of minutes of one meter, or some customers of a minute, small enough for memory. Every
column of every row is compared, in both directions, so usage without events is found too.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import StatementTooLarge, Unanswerable
from schemas.hashing import as_halves
from schemas.ids import AccountId
from schemas.meter import Aggregation, Meter
from schemas.tables import HASH
from schemas.timestamps import DAY, MINUTE, SECOND
from schemas.usage import UsageQuery
from schemas.verification import MeterDay, UsageDifference, Verified
from schemas.watermark import Watermark
from stream_processors.backends.reading.cursor import MOMENT, decode_cursor, encode_cursor
from stream_processors.backends.reading.fold import FOLDS
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.recount import SqlRecount
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from stream_processors.core.usage_rows import KEY, merge_usage

SLICE = 50_000
"""Events and rows of a slice, unless one customer has more of them in a minute."""

SHOWN = 100
"""The most differences that one answer lists."""

_HOUR = 60 * MINUTE
_CUSTOMERS = 1000
_CURSOR = (MOMENT, str)

ACCOUNTS = """\
SELECT DISTINCT account FROM (
    SELECT DISTINCT account FROM events UNION ALL SELECT DISTINCT account FROM usage WHERE meter != '')
ORDER BY account"""

NEWEST_ARRIVAL = "SELECT toUnixTimestamp64Micro(max(arrival)) FROM events HAVING count() > 0"

EVENT_DAYS = """\
SELECT account, event_name, intDiv(toUnixTimestamp64Micro(timestamp), {day:Int64}) AS day, count()
FROM events
WHERE account IN {accounts:Array(String)} AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    AND arrival >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
GROUP BY account, event_name, day"""

USAGE_DAYS = """\
SELECT account, meter, intDiv(toInt64(toUnixTimestamp(minute)) * 1000000, {day:Int64}) AS day, count()
FROM usage
WHERE account IN {accounts:Array(String)} AND meter != ''
    AND minute >= toDateTime({from:UInt32}, 'UTC') AND minute < toDateTime({to:UInt32}, 'UTC')
GROUP BY account, meter, day"""

SLOTS = """\
SELECT slot, sum(size) FROM (
    SELECT intDiv(toUnixTimestamp64Micro(timestamp), {step:Int64}) AS slot, count() AS size FROM events
    WHERE account = {account:String} AND event_name = {event_name:String}
        AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
        AND timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    GROUP BY slot
    UNION ALL
    SELECT intDiv(toInt64(toUnixTimestamp(minute)) * 1000000, {step:Int64}) AS slot, count() AS size FROM usage
    WHERE account = {account:String} AND meter = {meter:String}
        AND minute >= toDateTime({from:UInt32}, 'UTC') AND minute < toDateTime({to:UInt32}, 'UTC')
    GROUP BY slot)
GROUP BY slot ORDER BY slot"""

CUSTOMERS = """\
SELECT DISTINCT customer_id FROM (
    SELECT customer_id FROM events
    WHERE account = {account:String} AND event_name = {event_name:String} AND customer_id > {after:String}
        AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
        AND timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    UNION ALL
    SELECT customer_id FROM usage
    WHERE account = {account:String} AND meter = {meter:String} AND customer_id > {after:String}
        AND minute >= toDateTime({from:UInt32}, 'UTC') AND minute < toDateTime({to:UInt32}, 'UTC'))
ORDER BY customer_id LIMIT {limit:UInt64}"""

_USAGE_END = 2**32 - 1


class MeterLists(Protocol):
    """The meters of each account."""

    async def list(self, account: AccountId) -> Sequence[Meter]:
        """Also the archived ones."""
        ...


class Slice(NamedTuple):
    """A part of a meter's usage, and where the next part begins: a minute, and the customer that it begins after."""

    query: UsageQuery
    next_start: int
    next_after: str


class SqlVerification:
    """Verifies usage from the usage store."""

    def __init__(
        self, store: AsyncSqlClient, replayed: ReplayLookup, meters: MeterLists, *, slice_size: int = SLICE
    ) -> None:
        self._store = store
        self._meters = meters
        self._usage = SqlUsageReader(store, replayed.partitions)
        self._recount = SqlRecount(store, replayed)
        self._slice_size = slice_size

    async def accounts(self) -> Sequence[AccountId]:
        """Every account that has events or usage."""
        return [AccountId(str(account)) for (account,) in await self._store.rows(ACCOUNTS)]

    async def newest_arrival(self) -> int | None:
        """Of all events; None if there are none."""
        rows = await self._store.rows(NEWEST_ARRIVAL)
        return int(rows[0][0]) if rows else None

    async def days(
        self, accounts: Sequence[AccountId], start: int, end: int, *, since: int | None = None, span: int = DAY
    ) -> Sequence[MeterDay]:
        """The days, or other spans, from `start` on, before `end`, that have anything to compare, in order of account,
        meter and start.

        With `since`, only those of events that arrived at it or later.
        """
        params = {"accounts": list(accounts), "day": span, **_range(start, end)}
        events = {
            (str(account), str(name), int(day)): int(count)
            for account, name, day, count in await self._store.rows(EVENT_DAYS, {**params, "since": since or 0})
        }
        found: dict[tuple[AccountId, str, int], tuple[int, int]] = {}
        for account in accounts:
            names: dict[str, list[str]] = {}
            for meter in await self._meters.list(account):
                names.setdefault(meter.event_name, []).append(meter.code)
            for (owner, name, day), count in events.items():
                if owner == account:
                    found |= {(account, code, day): (count, 0) for code in names.get(name, ())}
        if since is None:
            for account, meter, day, count in await self._store.rows(USAGE_DAYS, params):
                key = (AccountId(str(account)), str(meter), int(day))
                found[key] = (found.get(key, (0, 0))[0], int(count))
        return [
            MeterDay(account=account, meter=meter, start=day * span, events=size, rows=rows)
            for (account, meter, day), (size, rows) in sorted(found.items())
        ]

    async def verify(
        self, account: AccountId, meter: str, start: int, end: int, *, cursor: str | None = None, limit: int = SLICE
    ) -> Verified:
        """Compares from the cursor on, until more than `limit` events were recounted or the range ends.

        The range is of whole minutes. Raises Invalid for a cursor that is not one, Overloaded if flushes outrun the
        reads, and Unanswerable for what no statement can read.
        """
        known = next((found for found in await self._meters.list(account) if found.code == meter), None)
        if known is not None and not (await self._usage.backfill(known)).done:
            return Verified(
                events=0,
                differences=(),
                difference_count=0,
                watermark=Watermark(flushes={}),
                skipped="its backfill is not complete, so its past is not counted yet",
            )
        scope = UsageQuery(account=account, meter=known or _unknown(account, meter), start=start, end=end)
        place, after = (start, "") if cursor is None else decode_cursor(cursor, _CURSOR)
        comparison = UsageComparison(scope)
        try:
            async for part in self._slices(scope, max(int(place), start), str(after)):
                counted, watermark = await self._usage.merged_rows(part.query)
                recounted = await self._recount.rows_at(part.query, watermark)
                comparison.add(counted, recounted.usage, recounted.events, watermark)
                if comparison.events >= limit and part.next_start < end:
                    return comparison.result(encode_cursor((part.next_start, part.next_after)))
        except StatementTooLarge as error:
            raise Unanswerable(f"the usage of meter {meter} in this range is too large to compare: {error}") from error
        return comparison.result(None)

    async def _slices(self, scope: UsageQuery, start: int, after: str) -> AsyncIterator[Slice]:
        if after:
            async for part in self._customers(scope, start, after):
                yield part
            start += MINUTE
        for hours in self._runs(await self._slots(scope, start, scope.end, _HOUR), _HOUR, start, scope.end):
            if hours.size <= self._slice_size:
                yield _slice(scope, hours.start, hours.end)
                continue
            minutes = await self._slots(scope, hours.start, hours.end, MINUTE)
            for run in self._runs(minutes, MINUTE, hours.start, hours.end):
                if run.size <= self._slice_size:
                    yield _slice(scope, run.start, run.end)
                    continue
                async for part in self._customers(scope, run.start, ""):
                    yield part

    async def _slots(self, scope: UsageQuery, start: int, end: int, step: int) -> Sequence[tuple[int, int]]:
        """The hours or minutes that have anything, each with its number of events and rows."""
        params = {**_scope(scope), **_range(start, end), "step": step}
        return [(int(slot), int(size)) for slot, size in await self._store.rows(SLOTS, params)]

    def _runs(self, slots: Sequence[tuple[int, int]], step: int, start: int, end: int) -> Iterator["Run"]:
        """Consecutive slots, as many as fit into a slice, at least one."""
        run: Run | None = None
        for slot, size in slots:
            more = Run(max(slot * step, start), min((slot + 1) * step, end), size)
            if run is None or run.size + size > self._slice_size:
                if run is not None:
                    yield run
                run = more
            else:
                run = Run(run.start, more.end, run.size + size)
        if run is not None:
            yield run

    async def _customers(self, scope: UsageQuery, minute: int, after: str) -> AsyncIterator[Slice]:
        """Slices of a minute, each of some customers."""
        while True:
            place = {**_scope(scope), **_range(minute, minute + MINUTE), "after": after, "limit": _CUSTOMERS}
            found = tuple(str(customer) for (customer,) in await self._store.rows(CUSTOMERS, place))
            is_last = len(found) < _CUSTOMERS
            if found:
                part = msgspec.structs.replace(scope, start=minute, end=minute + MINUTE, customers=found)
                yield Slice(part, minute + MINUTE if is_last else minute, "" if is_last else found[-1])
            if is_last:
                return
            after = found[-1]


class Run(NamedTuple):
    """A range of time, and how many events and rows it has."""

    start: int
    end: int
    size: int


def _slice(scope: UsageQuery, start: int, end: int) -> Slice:
    return Slice(msgspec.structs.replace(scope, start=start, end=end), end, "")


def _unknown(account: AccountId, code: str) -> Meter:
    """In place of a meter that the ledger does not have, which counts no event."""
    return Meter(
        account=account, code=code, name=code, event_name="", aggregation=Aggregation.COUNT, version=0, created_at=0
    )


def _scope(query: UsageQuery) -> dict[str, Any]:
    return {"account": query.account, "meter": query.meter.code, "event_name": query.meter.event_name}


def _range(start: int, end: int) -> dict[str, Any]:
    seconds = {"from": min(max(start // SECOND, 0), _USAGE_END), "to": min(max(end // SECOND, 0), _USAGE_END)}
    return {"start": start, "end": end, **seconds}


class UsageComparison:
    """The differences of a meter's slices."""

    def __init__(self, scope: UsageQuery) -> None:
        self._meter = scope.meter
        self.events = 0
        self._differences: list[UsageDifference] = []
        self._count = 0
        self._lowest: dict[int, int] = {}

    def add(self, counted: pa.Table, recounted: pa.Table, events: int, watermark: Watermark) -> None:
        self.events += events
        for partition, number in watermark.flushes.items():
            self._lowest[partition] = min(number, self._lowest.get(partition, number))
        ours, theirs = (_in_order(rows) for rows in (counted, recounted))
        if ours.equals(theirs):
            return
        for difference in self._differing(_by_key(ours), _by_key(theirs)):
            self._count += 1
            if len(self._differences) < SHOWN:
                self._differences.append(difference)

    def result(self, next_cursor: str | None) -> Verified:
        return Verified(
            events=self.events,
            differences=tuple(self._differences),
            difference_count=self._count,
            watermark=Watermark(flushes=self._lowest),
            next_cursor=next_cursor,
        )

    def _differing(self, counted: dict[Any, Any], recounted: dict[Any, Any]) -> Iterator[UsageDifference]:
        for key in sorted(counted.keys() | recounted.keys()):
            ours, theirs = counted.get(key), recounted.get(key)
            if ours == theirs:
                continue
            _, _, customer, minute, grp = key
            yield UsageDifference(
                account=self._meter.account,
                meter=self._meter.code,
                customer_id=customer,
                window_start=minute * SECOND,
                window_end=minute * SECOND + MINUTE,
                group=self._group(grp),
                counted=self._value(ours),
                recounted=self._value(theirs),
                detail=_detail(ours, theirs) if ours and theirs and self._value(ours) == self._value(theirs) else "",
            )

    def _group(self, grp: str) -> dict[str, str | None]:
        try:
            return dict(zip(self._meter.group_by, json.loads(grp), strict=True))
        except (ValueError, TypeError):  # A row that no flush has written.
            return {"grp": grp}

    def _value(self, row: dict[str, Any] | None) -> Decimal | None:
        if row is None:
            return None
        folding = FOLDS[self._meter.aggregation]
        part = folding.part(row)
        is_empty = part is None or (self._meter.aggregation is Aggregation.AVG and not row["count"])
        return None if is_empty else folding.value(part)


def _detail(counted: dict[str, Any], recounted: dict[str, Any]) -> str:
    names = sorted(name for name in counted if counted[name] != recounted[name])
    return "; ".join(f"{name}: counted {counted[name]}, recounted {recounted[name]}" for name in names)


def _by_key(rows: pa.Table) -> dict[Any, dict[str, Any]]:
    return {tuple(row[name] for name in KEY): row for row in rows.to_pylist()}


def _in_order(rows: pa.Table) -> pa.Table:
    """The rows in the order of their keys, with the unique values of each in order."""
    merged = merge_usage([rows], month=0)
    at = merged.schema.get_field_index("uniques")
    return merged.set_column(at, merged.schema.field(at), _sorted_lists(merged["uniques"].combine_chunks()))


def _sorted_lists(lists: pa.ListArray) -> pa.ListArray:
    values = pc.list_flatten(lists)
    if not len(values):
        return lists
    parents = pc.list_parent_indices(lists).to_numpy()
    halves = as_halves(b"".join(values.to_pylist()))
    order = np.lexsort((halves[:, 1], halves[:, 0], parents))
    return pa.ListArray.from_arrays(lists.offsets, values.take(pa.array(order)).cast(HASH))
