"""What a recount reads, as SQL: the events of a usage question up to a watermark, and the rejects among them."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.tables import EVENTS
from schemas.usage import UsageQuery
from stream_processors.backends.reading.cursor import Key
from stream_processors.backends.sql.usage_query import SqlQuery

_PLACE = "p, n, offset, place"

# An event whose value one meter could not count is no part of that meter, whatever today's code makes of it. Events
# and rejects of a partition are in one shard, so each shard leaves out its own.
EVENTS_UP_TO = """\
SELECT {columns}
FROM events
WHERE {conditions}
  AND ({place}) NOT IN (SELECT {place} FROM rejects WHERE account = {{account:String}} AND meter = {{meter:String}})
ORDER BY p, n, offset, place
LIMIT {{limit:UInt64}}
SETTINGS distributed_product_mode = 'local'"""

REJECTS_OF = """\
SELECT {columns}, origin, replay_of
FROM rejects
WHERE meter = {{meter:String}} AND {conditions}
ORDER BY p, n, offset, place, origin"""


def recounted_events(query: UsageQuery, last: Mapping[int, int], after: Key | None, limit: int) -> SqlQuery:
    """Events of the query up to flush `last` of each partition, in order of place, from the place `after` on."""
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
    """All rejects of the query's meter and range, those of tries again too."""
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
