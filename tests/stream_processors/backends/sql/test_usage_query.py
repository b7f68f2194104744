"""The exact SQL of a usage query, of which no value of the caller is part."""

from typing import Any

import msgspec
import pytest

from schemas.errors import Invalid
from schemas.ids import AccountId
from schemas.meter import Aggregation
from schemas.timestamps import SECOND
from schemas.usage import UsageQuery, Window
from stream_processors.backends.reading.cursor import encode_cursor
from stream_processors.backends.reading.windows import windows_between
from stream_processors.backends.sql.usage_query import SqlQuery, usage_statement
from tests.factories import make_meter

MAY, JUNE = 1_777_593_600, 1_780_272_000
EVIL = "'; DROP TABLE usage; --{limit:UInt64}"


def query(aggregation: str = "sum", **changes: object) -> UsageQuery:
    meter = make_meter("tokens", aggregation, group_by={"model": "$.model", "region": "$.region"})
    usage_query = UsageQuery(account=AccountId("acme"), meter=meter, start=MAY * SECOND, end=JUNE * SECOND)
    return msgspec.structs.replace(usage_query, **changes)


def statement_of(usage_query: UsageQuery, *receipts: str, on_disk: bool = False) -> SqlQuery:
    windows = windows_between(
        usage_query.window, usage_query.timezone, usage_query.start // SECOND, usage_query.end // SECOND
    )
    return usage_statement(usage_query, windows, receipts, on_disk=on_disk)


PLAIN = """\
SELECT meter, customer_id, start, kept, toDecimal128(part, 12) AS value, value AS total
FROM (
SELECT meter, customer_id, greatest({first:Int64}, toInt64(toUnixTimestamp(minute)) - \
(toInt64(toUnixTimestamp(minute)) + {shift:Int64}) % {step:Int64}) AS start, \
if(meter = '', '', concat('[', JSONExtractRaw(grp, 2), ']')) AS kept, sum(sum) AS part
FROM usage
WHERE (account = {account:String} AND meter = {meter:String} \
AND minute >= toDateTime({from:UInt32}, 'UTC') AND minute < toDateTime({to:UInt32}, 'UTC') \
AND customer_id IN {customers:Array(String)} \
AND (JSONExtract(grp, 1, 'Nullable(String)') IN {group_1:Array(String)} \
OR JSONExtract(grp, 1, 'Nullable(String)') IS NULL) \
AND customer_id >= {after_customer:String})
   OR (account = '' AND meter = '' AND customer_id IN {receipts:Array(String)} \
AND (grp = '' OR (splitByChar('/', grp)[2], splitByChar('/', grp)[3]) >= ({account:String}, {meter:String})))
GROUP BY meter, customer_id, start, kept
)
WHERE meter = '' OR (customer_id, start, kept) > ({after_customer:String}, {after_start:Int64}, {after_kept:String})
ORDER BY meter, customer_id, start, kept
LIMIT {limit:UInt64}"""


def test_a_complete_query_as_sql() -> None:
    """Filters, groups, windows, cursor and receipts of one query."""
    usage_query = query(
        customers=("c1",),
        window=Window.HOUR,
        timezone="Asia/Kathmandu",
        group_by=("region",),
        groups={"model": ("small", None)},
        after=encode_cursor(("c1", MAY, '["eu"]')),
        limit=10,
    )
    statement = statement_of(usage_query, "0/8", "1/3")
    assert statement.sql == PLAIN
    assert statement.params == {
        "account": "acme",
        "meter": "tokens",
        "receipts": ["0/8", "1/3"],
        "limit": 13,
        "from": MAY,
        "to": JUNE,
        "customers": ["c1"],
        "group_1": ["small"],
        "first": MAY,
        "step": 3600,
        "shift": 2700,
        "after_customer": "c1",
        "after_start": MAY,
        "after_kept": '["eu"]',
    }


TOP = """\
SELECT meter, customer_id, cell.1 AS start, kept, cell.2 AS value, total
FROM (
SELECT meter, customer_id, kept, groupUniqArrayArray(part) AS merged, toDecimal128(length(merged), 12) AS total, \
groupArray((start, toDecimal128(length(part), 12))) AS cells
FROM (
SELECT meter, customer_id, materialize({edge:Int64}) AS start, if(meter = '', '', materialize('[]')) AS kept, \
groupUniqArrayArray(uniques) AS part
FROM usage
WHERE (account = {account:String} AND meter = {meter:String} \
AND minute >= toDateTime({from:UInt32}, 'UTC') AND minute < toDateTime({to:UInt32}, 'UTC'))
   OR (account = '' AND meter = '' AND customer_id IN {receipts:Array(String)} \
AND (grp = '' OR (splitByChar('/', grp)[2], splitByChar('/', grp)[3]) >= ({account:String}, {meter:String})))
GROUP BY meter, customer_id, start, kept
)
GROUP BY meter, customer_id, kept
ORDER BY meter, total DESC, customer_id, kept
LIMIT {top:UInt64} BY if(meter = '', customer_id, '')
)
ARRAY JOIN cells AS cell
WHERE meter = '' OR true
ORDER BY meter, total DESC, customer_id, kept, start
LIMIT {limit:UInt64}"""


ON_DISK = """\
SELECT meter, customer_id, start, kept, toDecimal128(part, 12) AS value, value AS total
FROM (
SELECT meter, customer_id, start, kept, countIf(is_value) AS part
FROM (
SELECT meter, customer_id, start, kept, unique, is_value
FROM (
SELECT meter, customer_id, materialize({edge:Int64}) AS start, if(meter = '', '', materialize('[]')) AS kept, unique, \
place > 0 AS is_value
FROM usage
LEFT ARRAY JOIN uniques AS unique, arrayEnumerate(uniques) AS place
WHERE (account = {account:String} AND meter = {meter:String} \
AND minute >= toDateTime({from:UInt32}, 'UTC') AND minute < toDateTime({to:UInt32}, 'UTC'))
   OR (account = '' AND meter = '' AND customer_id IN {receipts:Array(String)} \
AND (grp = '' OR (splitByChar('/', grp)[2], splitByChar('/', grp)[3]) >= ({account:String}, {meter:String})))
)
GROUP BY meter, customer_id, start, kept, unique, is_value
)
GROUP BY meter, customer_id, start, kept
)
WHERE meter = '' OR true
ORDER BY meter, customer_id, start, kept
LIMIT {limit:UInt64}
SETTINGS max_bytes_before_external_group_by = 200000000, max_bytes_before_external_sort = 200000000,
    max_bytes_ratio_before_external_group_by = 0, max_bytes_ratio_before_external_sort = 0"""


def test_distinct_values_on_disk_as_sql() -> None:
    """Each value is a row of a grouping: a set of them would have to fit into memory."""
    assert statement_of(query("unique"), on_disk=True).sql == ON_DISK


def test_the_largest_customers_as_sql() -> None:
    """Parts per window are merged to a total per customer, in the same scan."""
    assert statement_of(query("unique", top=5)).sql == TOP


@pytest.mark.parametrize("aggregation", Aggregation)
@pytest.mark.parametrize("top", [None, 3])
def test_no_value_of_the_caller_is_part_of_the_text(aggregation: Aggregation, top: int | None) -> None:
    """The text is the same whatever the values are."""
    key = (EVIL, MAY, EVIL) if top is None else ("1.5", EVIL, EVIL, MAY)
    harmless = tuple("x" if part == EVIL else part for part in key)
    texts = {
        statement_of(
            query(aggregation, customers=(text,), groups={"model": (text,)}, after=encode_cursor(after), top=top), text
        ).sql
        for text, after in ((EVIL, key), ("x", harmless))
    }
    assert len(texts) == 1
    assert EVIL not in texts.pop()


@pytest.mark.parametrize("change", [{"group_by": ("nope",)}, {"groups": {"nope": ("x",)}}])
def test_an_unknown_group_is_refused_with_the_known_ones(change: dict[str, Any]) -> None:
    """The error lists the groups of the meter."""
    with pytest.raises(Invalid, match="model, region"):
        statement_of(query(**change))


@pytest.mark.parametrize("total", ["x", "1e30", "-1e26", "NaN", ""])
def test_a_cursor_with_an_impossible_total_is_refused(total: str) -> None:
    """Only quantities are sent to the engine."""
    with pytest.raises(Invalid, match="next_cursor"):
        statement_of(query(top=1, after=encode_cursor((total, "c", "[]", MAY))))
