"""Listings of events and rejects as SQL: pure functions from the query to its text and bound values.

The newest arrival is first. A cursor is the arrival and the place of a page's last row, so later arrivals do not move
it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from schemas.hashing import as_halves, key_hash, partition_of
from schemas.listing import EventQuery, RejectQuery
from schemas.tables import reject_place
from stream_processors.backends.reading.cursor import INT63, MOMENT, UINT16, UINT32, Key, decode_cursor
from stream_processors.backends.sql.usage_query import SqlQuery

EVENT_KEY = (MOMENT, UINT16, INT63, INT63, UINT32)
REJECT_KEY = (*EVENT_KEY, str, str)

_PLACE = "p, n, offset, place"
_SHARED = (
    "account, event_name, idempotency_key, customer_id, properties, request_id, flags, "
    "toUnixTimestamp64Micro(timestamp) AS happened, toUnixTimestamp64Micro(arrival) AS arrived"
)

LISTING = """\
SELECT {columns}
FROM {table}
WHERE {conditions}
ORDER BY arrival DESC, p DESC, n DESC, offset DESC, place DESC{more_order}
LIMIT {{limit:UInt64}}"""


def events_statement(query: EventQuery, after: Key | None, since: int | None, partitions: int) -> SqlQuery:
    """Events that arrived at `since` or later and are listed after the cursor. A key is in one of `partitions` only."""
    params: dict[str, Any] = {"account": query.account, "limit": query.limit + 1}
    conditions = ["account = {account:String}", *_event_filters(query, params, partitions)]
    if since is not None:
        params["since"] = since
        conditions.append("arrival >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')")
    if after is not None:
        conditions.append(_before(after, (), params))
    sql = LISTING.format(
        columns=f"{_SHARED}, {_PLACE}", table="events", conditions=" AND ".join(conditions), more_order=""
    )
    return SqlQuery(sql, params)


def rejects_statement(query: RejectQuery, after: Key | None, limit: int) -> SqlQuery:
    """Rejects that are listed after the cursor."""
    params: dict[str, Any] = {"account": query.account, "limit": limit}
    conditions = ["account = {account:String}", *_reject_filters(query, params)]
    if after is not None:
        conditions.append(_before(after, ("origin", "meter"), params))
    sql = LISTING.format(
        columns=f"{_SHARED}, {_PLACE}, origin, meter, code, message, replay_of",
        table="rejects",
        conditions=" AND ".join(conditions),
        more_order=", origin DESC, meter DESC",
    )
    return SqlQuery(sql, params)


def event_cursor(query: EventQuery) -> Key | None:
    return None if query.cursor is None else decode_cursor(query.cursor, EVENT_KEY)


def reject_cursor(query: RejectQuery) -> Key | None:
    return None if query.cursor is None else decode_cursor(query.cursor, REJECT_KEY)


def _event_filters(query: EventQuery, params: dict[str, Any], partitions: int) -> Iterator[str]:
    if query.idempotency_key is not None:
        digest = key_hash(query.account, query.idempotency_key)
        params |= {"key": digest.hex(), "partition": int(partition_of(as_halves(digest), partitions)[0])}
        yield "p = {partition:UInt16} AND key_hash = toFixedString(unhex({key:String}), 16)"
    for column, value in (("event_name", query.event_name), ("customer_id", query.customer_id)):
        if value is not None:
            params[column] = value
            yield f"{column} = {{{column}:String}}"
    for name, sign, moment in (("start", ">=", query.start), ("end", "<", query.end)):
        if moment is not None:
            params[name] = moment
            yield f"timestamp {sign} fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"


def _reject_filters(query: RejectQuery, params: dict[str, Any]) -> Iterator[str]:
    for column, value in (("code", query.code), ("meter", query.meter)):
        if value is not None:
            params[column] = value
            yield f"{column} = {{{column}:String}}"
    if query.ids:
        # The id itself is compared after the reject is read.
        places = [place for text in query.ids if (place := reject_place(text)) is not None]
        params["places"] = places
        yield f"({_PLACE}) IN {{places:Array(Tuple(UInt16, UInt64, UInt64, UInt32))}}"


def _before(key: Key, more: Sequence[str], params: dict[str, Any]) -> str:
    columns = ("p", "n", "offset", "place", *more)
    types = ("UInt16", "UInt64", "UInt64", "UInt32", "String", "String")
    params |= {"after_arrival": key[0], **{f"after_{c}": v for c, v in zip(columns, key[1:], strict=True)}}
    arrival = "fromUnixTimestamp64Micro({after_arrival:Int64}, 'UTC')"
    bounds = ", ".join(f"{{after_{column}:{kind}}}" for column, kind in zip(columns, types, strict=False))
    return f"arrival <= {arrival} AND (arrival, {', '.join(columns)}) < ({arrival}, {bounds})"
