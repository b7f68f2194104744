"""The usage that a meter measures, and the rejects of values that it cannot count."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from schemas.event import EventFlag, RejectCode
from schemas.hashing import value_digest
from schemas.meter import Meter
from schemas.tables import EVENTS, NO_LATEST
from schemas.timestamps import MINUTE
from stream_processors.core.flush_plan import assemble, in_store_layout
from stream_processors.core.measure import MeasuredRows, measure
from tests.factories import NOW, Event, make_claim, make_event, make_filter, make_frame, make_meter


def stored(*events: Event) -> pa.Table:
    return in_store_layout(assemble([make_frame(events)]), make_claim(), 202611)


def measured(meter: Meter, *properties: Any, origin: str = "") -> MeasuredRows:
    events = (make_event(f"k{number}", given) for number, given in enumerate(properties))
    return measure(stored(*events), [meter], month=202611, origin=origin)


def rows_of(measured: MeasuredRows) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = measured.usage.to_pylist()
    return rows


def test_other_columns_of_a_usage_row_are_neutral() -> None:
    """Any two rows of a key can therefore be merged."""
    (row,) = rows_of(measured(make_meter("tokens", "sum"), {"tokens": 2}, {"tokens": 3}))
    assert row == {
        "account": "acme_live",
        "meter": "tokens",
        "customer_id": "cust_1",
        "minute": NOW // MINUTE * 60,
        "grp": "[]",
        "sum": Decimal(5),
        "count": 2,
        "min": None,
        "max": None,
        "latest": NO_LATEST,
        "uniques": [],
        "month": 202611,
    }


@pytest.mark.parametrize(("aggregation", "column", "value"), [("min", "min", -1), ("max", "max", 5), ("avg", "sum", 6)])
def test_each_aggregation_fills_its_column(aggregation: str, column: str, value: int) -> None:
    """All of them fill the count as well."""
    (row,) = rows_of(measured(make_meter("m", aggregation), {"tokens": 2}, {"tokens": 5}, {"tokens": -1}))
    assert (row["count"], row[column]) == (3, value)


def test_latest_is_the_newest_event_and_on_a_tie_the_last_arrival() -> None:
    """Timestamps decide first."""
    times = (NOW + 5, NOW + 9, NOW + 9, NOW + 1)
    events = [make_event(f"k{n}", {"tokens": n}, timestamp=time) for n, time in enumerate(times)]
    (row,) = rows_of(measure(stored(*events), [make_meter("level", "latest")], month=202611))
    assert row["latest"] == {"timestamp": NOW + 9, "arrival": NOW, "p": 0, "offset": 0, "place": 2, "value": 2}


def test_unique_stores_each_different_value_once() -> None:
    """1 and "1" differ; 1 and 1.0 do not."""
    meter = make_meter("users", "unique", value_property="$.user")
    (row,) = rows_of(measured(meter, '{"user":1}', '{"user":1.0}', '{"user":"1"}', '{"user":true}', '{"user":"1"}'))
    assert sorted(row["uniques"]) == sorted(map(value_digest, (b"j1", b"s1", b"jtrue")))
    assert row["count"] == 5


def test_usage_is_separate_for_each_group() -> None:
    """Group values are in the order of the meter's keys; a missing value is null."""
    meter = make_meter("m", group_by={"model": "$.model", "fast": "$.fast"})
    properties = [{"model": 'a"b', "fast": True}, {"fast": None}, {"model": 3}, {"model": 'a"b', "fast": True}]
    counts = {row["grp"]: row["count"] for row in rows_of(measured(meter, *properties))}
    assert counts == {'["a\\"b","true"]': 2, "[null,null]": 1, '["3",null]': 1}


@pytest.mark.parametrize(
    ("condition", "passing"),
    [
        (make_filter("$.v", "eq", 1), ["1", "1.0"]),
        (make_filter("$.v", "eq", "1"), ['"1"']),
        (make_filter("$.v", "eq", None), []),
        (make_filter("$.v", "ne", 1), ['"1"', "true", "null", "2.5", "[1]", "absent"]),
        (make_filter("$.v", "in", [1, True, None]), ["1", "1.0", "true"]),
        (make_filter("$.v", "gt", 1), ["2.5"]),
        (make_filter("$.v", "gte", 2.5), ["2.5"]),
        (make_filter("$.v", "lt", 2.5), ["1", "1.0"]),
        (make_filter("$.v", "lte", 1), ["1", "1.0"]),
        (make_filter("$.v", "gt", "1"), []),
        (make_filter("$.v", "exists", True), ["1", "1.0", '"1"', "true", "2.5", "[1]"]),
        (make_filter("$.v", "exists", False), ["null", "absent"]),
    ],
)
def test_filters_decide_by_value_and_type(condition: Any, passing: list[str]) -> None:
    """An event that a filter excludes is no reject."""
    spelled = ["1", "1.0", '"1"', "true", "null", "2.5", "[1]", "absent"]
    properties = ["{}" if text == "absent" else f'{{"v":{text}}}' for text in spelled]
    meter = make_meter("m", group_by={"text": "$.name"}, filters=(condition,))
    named = [text[:-1] + f'{"," if len(text) > 2 else ""}"name":"n{n}"}}' for n, text in enumerate(properties)]
    found = measured(meter, *named)
    assert {row["grp"] for row in rows_of(found)} == {f'["n{spelled.index(text)}"]' for text in passing}
    assert found.rejects.num_rows == 0


@pytest.mark.parametrize(
    ("properties", "code", "message"),
    [
        ("{}", RejectCode.VALUE_MISSING, "meter m needs a number at $.tokens, which this event lacks"),
        ('{"tokens":null}', RejectCode.VALUE_MISSING, "meter m needs a number at $.tokens, which this event lacks"),
        ('{"tokens":true}', RejectCode.VALUE_NOT_A_NUMBER, "meter m needs a number at $.tokens; found true"),
        ('{"tokens":"many"}', RejectCode.VALUE_NOT_A_NUMBER, 'meter m needs a number at $.tokens; found "many"'),
        ('{"tokens":1e15}', RejectCode.VALUE_RANGE, "and 1000000000000000; found 1000000000000000"),
        ('{"tokens":"%s"}' % ("x" * 500), RejectCode.VALUE_NOT_A_NUMBER, "xxx…"),
        ("{", RejectCode.MALFORMED, "cannot be read as a JSON object"),
    ],
)
def test_a_value_that_cannot_be_counted_is_a_reject(properties: str, code: RejectCode, message: str) -> None:
    """The reason names the property, the value found and the meter; the reject holds the whole event."""
    found = measured(make_meter("m", "sum"), '{"tokens":4}', properties, origin="backfill/acme_live/m/0/1")
    (reject,) = found.rejects.to_pylist()
    assert (reject["code"], reject["meter"], reject["properties"]) == (code, "m", properties)
    assert (reject["place"], reject["idempotency_key"], reject["origin"]) == (1, "k1", "backfill/acme_live/m/0/1")
    assert message in reject["message"]
    assert len(reject["message"]) < 200
    assert [row["sum"] for row in rows_of(found)] == [4]


def test_a_timestamp_outside_the_range_of_usage_is_a_reject() -> None:
    """Minutes range from 1970 to 2106."""
    events = stored(make_event("old", timestamp=-1), make_event("first", timestamp=0))
    found = measure(events, [make_meter()], month=202611)
    assert [row["minute"] for row in rows_of(found)] == [0]
    assert [row["code"] for row in found.rejects.to_pylist()] == [RejectCode.TIMESTAMP_OLD]


def test_meters_count_only_their_account_and_event_name() -> None:
    events = [
        make_event("1"),
        make_event("2", event_name="job.done"),
        make_event("3", account="acme_test"),
        make_event("4", account="acme_test", event_name="job.done"),
        make_event("5"),
    ]
    meters = [make_meter("a"), make_meter("b", event_name="job.done"), make_meter("c", account="other")]
    found = measure(stored(*events), meters, month=202611)
    assert [(row["meter"], row["count"]) for row in rows_of(found)] == [("a", 2), ("b", 1)]


def test_events_without_a_replay_meter_are_for_every_meter() -> None:
    """Events read back from the store have none, whatever their flags."""
    events = stored(make_event("k", flags=EventFlag.REPLAY)).select(EVENTS.names)
    assert [row["count"] for row in rows_of(measure(events, [make_meter()], month=202611))] == [1]


def test_no_meters_no_usage() -> None:
    """No events, no usage either."""
    assert measure(stored(make_event("k")), [], month=202611).usage.num_rows == 0
    assert measure(stored(), [make_meter()], month=202611).rejects.num_rows == 0
