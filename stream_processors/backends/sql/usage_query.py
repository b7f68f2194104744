"""One usage query as one SQL statement: a pure function from the query to its text and bound values.

The statement scans `usage` once, and that scan includes the requested receipts. A scan reads one snapshot of the table,
and a flush's rows and receipt are one block, so the receipts in the result say exactly which flushes the values
contain.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.meter import Aggregation
from schemas.usage import UsageQuery
from stream_processors.backends.reading.cells import key_after
from stream_processors.backends.reading.group_values import group_index
from stream_processors.backends.reading.windows import Windows

_LAST_SECOND = 2**32 - 1


class SqlQuery(msgspec.Struct, frozen=True):
    """SQL, and the values bound to its `{name:Type}` placeholders."""

    sql: str
    params: dict[str, Any]


class SqlFold(msgspec.Struct, frozen=True):
    """How an aggregation folds rows: rows into a part, parts into one, and the value of a part."""

    part: str
    whole: str
    value: str


def _average(total: str, count: str) -> str:
    """total / count at 12 decimals, ties to even, in integers: the engine's own division truncates."""
    scaled = f"toInt256(toDecimal256({total}, 12) * toDecimal256('1000000000000', 0))"
    size, count = f"abs({scaled})", f"toInt256(greatest({count}, 1))"
    quotient = f"intDiv({size}, {count})"
    rest = f"2 * ({size} - {quotient} * {count})"
    rounded = f"({quotient} + ({rest} > {count} OR ({rest} = {count} AND {quotient} % 2 = 1)))"
    return f"toDecimal256(if({scaled} < 0, -1, 1) * {rounded}, 12) / toDecimal256('1000000000000', 0)"


FOLDS = {
    Aggregation.COUNT: SqlFold("sum(count)", "sum(part)", "{}"),
    Aggregation.SUM: SqlFold("sum(sum)", "sum(part)", "{}"),
    Aggregation.MIN: SqlFold("min(min)", "min(part)", "{}"),
    Aggregation.MAX: SqlFold("max(max)", "max(part)", "{}"),
    Aggregation.AVG: SqlFold(
        "(sum(sum), sum(count))", "(sum(part.1), sum(part.2))", _average("tupleElement({0}, 1)", "tupleElement({0}, 2)")
    ),
    Aggregation.LATEST: SqlFold("max(latest)", "max(part)", "tupleElement({}, 'value')"),
    Aggregation.UNIQUE: SqlFold("groupUniqArrayArray(uniques)", "groupUniqArrayArray(part)", "length({})"),
}


def usage_statement(query: UsageQuery, windows: Windows, receipts: Sequence[str], *, on_disk: bool = False) -> SqlQuery:
    """Rows (meter, customer_id, start, kept, value, total): first the receipts, whose meter is '', then usage.

    With `on_disk` a grouping that is too large for memory is moved to disk, which takes several times as long.
    """
    params: dict[str, Any] = {
        "account": query.account,
        "meter": query.meter.code,
        "receipts": list(receipts),
        "limit": query.limit + 1 + len(receipts),
    }
    conditions = " AND ".join([*_conditions(query, windows, params), *_first_customer(query, params)])
    scan = {
        "start": _start(windows, params),
        "kept": f"if(meter = '', '', {_kept(query)})",
        "conditions": conditions,
        "covering": COVERING,
    }
    if query.top is not None:
        params["top"] = query.top
    unique_on_disk = on_disk and query.meter.aggregation is Aggregation.UNIQUE
    sql = (_distinct if unique_on_disk else _folded)(query, scan, _after(query, params))
    return SqlQuery(f"{sql}\n{ON_DISK}" if on_disk else sql, params)


ROWS = """\
SELECT account, meter, customer_id, toUnixTimestamp(minute) AS at, grp, sum(sum) AS total, sum(count) AS number,
    min(min) AS least, max(max) AS largest, max(latest) AS last, groupUniqArrayArray(uniques) AS distinct
FROM usage
WHERE ({conditions})
   OR (account = '' AND meter = '' AND customer_id IN {{receipts:Array(String)}} AND {covering})
GROUP BY account, meter, customer_id, at, grp"""

ROW_COLUMNS = ("account", "meter", "customer_id", "minute", "grp", "sum", "count", "min", "max", "latest", "uniques")
"""The names that the columns of `ROWS` have in the layout USAGE."""


def rows_statement(query: UsageQuery, windows: Windows, receipts: Sequence[str]) -> SqlQuery:
    """The rows of `usage` as they are stored, merged, with those of the receipts among them."""
    params: dict[str, Any] = {"account": query.account, "meter": query.meter.code, "receipts": list(receipts)}
    conditions = " AND ".join(_conditions(query, windows, params))
    return SqlQuery(ROWS.format(conditions=conditions, covering=COVERING), params)


def _folded(query: UsageQuery, scan: Mapping[str, str], after: str) -> str:
    folding = FOLDS[query.meter.aggregation]
    return (PLAIN if query.top is None else TOP).format(
        parts=PARTS.format(part=folding.part, **scan),
        value=_value(query, "part"),
        merged=folding.whole,
        total=_value(query, "merged"),
        after=after,
    )


def _distinct(query: UsageQuery, scan: Mapping[str, str], after: str) -> str:
    values = DISTINCT.format(**scan)
    if query.top is None:
        parts, value = DISTINCT_PARTS.format(values=values), "toDecimal128(part, 12)"
        return PLAIN.format(parts=parts, value=value, after=after)
    return RANKED.format(wholes=DISTINCT_WHOLES.format(values=values), after=after)


PARTS = """\
SELECT meter, customer_id, {start} AS start, {kept} AS kept, {part} AS part
FROM usage
WHERE ({conditions})
   OR (account = '' AND meter = '' AND customer_id IN {{receipts:Array(String)}} AND {covering})
GROUP BY meter, customer_id, start, kept"""

COVERING = """\
(grp = '' OR (splitByChar('/', grp)[2], splitByChar('/', grp)[3]) >= ({account:String}, {meter:String}))"""
"""As `covers` in `schemas.tables`: the receipt's block, or one before it, has the flush's rows of the queried meter."""

PLAIN = """\
SELECT meter, customer_id, start, kept, {value} AS value, value AS total
FROM (
{parts}
)
WHERE meter = '' OR {after}
ORDER BY meter, customer_id, start, kept
LIMIT {{limit:UInt64}}"""

# Receipts are not ranked: each is a group of its own, so that the limit never drops one.
RANKED = """\
SELECT meter, customer_id, cell.1 AS start, kept, cell.2 AS value, total
FROM (
{wholes}
ORDER BY meter, total DESC, customer_id, kept
LIMIT {{top:UInt64}} BY if(meter = '', customer_id, '')
)
ARRAY JOIN cells AS cell
WHERE meter = '' OR {after}
ORDER BY meter, total DESC, customer_id, kept, start
LIMIT {{limit:UInt64}}"""


TOP = RANKED.replace(
    "{wholes}",
    """\
SELECT meter, customer_id, kept, {merged} AS merged, {total} AS total, groupArray((start, {value})) AS cells
FROM (
{parts}
)
GROUP BY meter, customer_id, kept""",
)

# Every value is a row of a grouping, which the store can move to disk; as one array it would have to fit into memory.
# A receipt has no values, and the left join keeps it.
DISTINCT = """\
SELECT meter, customer_id, {start} AS start, {kept} AS kept, unique, place > 0 AS is_value
FROM usage
LEFT ARRAY JOIN uniques AS unique, arrayEnumerate(uniques) AS place
WHERE ({conditions})
   OR (account = '' AND meter = '' AND customer_id IN {{receipts:Array(String)}} AND {covering})"""

DISTINCT_PARTS = """\
SELECT meter, customer_id, start, kept, countIf(is_value) AS part
FROM (
SELECT meter, customer_id, start, kept, unique, is_value
FROM (
{values}
)
GROUP BY meter, customer_id, start, kept, unique, is_value
)
GROUP BY meter, customer_id, start, kept"""

# The function sumMap drops keys whose sum is 0, a window without values: so each sum is at least 1.
DISTINCT_WHOLES = """\
SELECT meter, customer_id, kept, toDecimal128(countIf(is_value), 12) AS total,
    sumMap(starts, arrayMap(start -> toUInt64(is_value) * 4294967296 + 1, starts)) AS counts,
    arrayMap((start, size) -> (start, toDecimal128(intDiv(size, 4294967296), 12)), counts.1, counts.2) AS cells
FROM (
SELECT meter, customer_id, kept, unique, is_value, groupUniqArray(start) AS starts
FROM (
{values}
)
GROUP BY meter, customer_id, kept, unique, is_value
)
GROUP BY meter, customer_id, kept"""

ON_DISK = """\
SETTINGS max_bytes_before_external_group_by = 200000000, max_bytes_before_external_sort = 200000000,
    max_bytes_ratio_before_external_group_by = 0, max_bytes_ratio_before_external_sort = 0"""
"""The size is well below a statement's limit of memory."""


def _value(query: UsageQuery, part: str) -> str:
    return f"toDecimal128({FOLDS[query.meter.aggregation].value.format(part)}, 12)"


def _start(windows: Windows, params: dict[str, Any]) -> str:
    """The start of a minute's window, with the same arithmetic as `Windows.start_of`."""
    if len(windows.edges) == 1:
        params["edge"] = windows.edges[0]
        return _constant("{edge:Int64}")
    minute = "toInt64(toUnixTimestamp(minute))"
    if windows.edges:
        params["edges"] = list(windows.edges)
        return f"roundDown({minute}, {{edges:Array(Int64)}})"
    params |= {"first": windows.start, "step": windows.step, "shift": windows.shift}
    return f"greatest({{first:Int64}}, {minute} - ({minute} + {{shift:Int64}}) % {{step:Int64}})"


def _kept(query: UsageQuery) -> str:
    """The group values as a JSON array, in the order of the query's `group_by`."""
    if list(query.group_by) == list(query.meter.group_by):
        return "grp"
    values = ", ',', ".join(f"JSONExtractRaw(grp, {group_index(query.meter, key) + 1})" for key in query.group_by)
    return f"concat('[', {values}, ']')" if values else _constant("'[]'")


def _constant(value: str) -> str:
    """A column of one value."""
    # With a bare constant among its keys, ORDER BY … LIMIT drops rows (engine 26.9) if the limit is 1,500 or more and
    # the rows are in several blocks. A materialized constant is an ordinary column.
    return f"materialize({value})"


def _conditions(query: UsageQuery, windows: Windows, params: dict[str, Any]) -> Iterator[str]:
    params |= {"from": max(windows.start, 0), "to": min(windows.end, _LAST_SECOND)}
    yield "account = {account:String} AND meter = {meter:String}"
    yield "minute >= toDateTime({from:UInt32}, 'UTC') AND minute < toDateTime({to:UInt32}, 'UTC')"
    if query.customers:
        params["customers"] = list(query.customers)
        yield "customer_id IN {customers:Array(String)}"
    for key, wanted in query.groups.items():
        place = group_index(query.meter, key, "filter") + 1
        params[f"group_{place}"] = [value for value in wanted if value is not None]
        found = f"JSONExtract(grp, {place}, 'Nullable(String)')"
        missing = f" OR {found} IS NULL" if None in wanted else ""
        yield f"({found} IN {{group_{place}:Array(String)}}{missing})"


def _first_customer(query: UsageQuery, params: dict[str, Any]) -> Iterator[str]:
    """A condition that skips the customers of earlier pages: rows are read in the order of customers."""
    key = key_after(query)
    if key is not None and query.top is None:
        params["after_customer"] = key[0]
        yield "customer_id >= {after_customer:String}"


def _after(query: UsageQuery, params: dict[str, Any]) -> str:
    key = key_after(query)
    if key is None:
        return "true"
    if query.top is None:
        params |= dict(zip(("after_customer", "after_start", "after_kept"), key, strict=True))
        return "(customer_id, start, kept) > ({after_customer:String}, {after_start:Int64}, {after_kept:String})"
    params |= dict(zip(("after_total", "after_customer", "after_kept", "after_start"), key, strict=True))
    total = "{after_total:Decimal(38, 12)}"
    place = "({after_customer:String}, {after_kept:String}, {after_start:Int64})"
    return f"(total < {total} OR (total = {total} AND (customer_id, kept, start) > {place}))"
