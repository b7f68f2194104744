"""Described records match their readers."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.api.ingest_documents import CloudEvent, Event, EventBatch
from ingest_gateway.api.meter_documents import MeterChanges, MeterRequest, read_changes, read_new_meter
from ingest_gateway.ingest import event_formats
from ingest_gateway.ingest.cooperative import run_at_once
from ingest_gateway.ingest.parse import parse_body
from schemas.errors import Invalid
from schemas.ids import AccountId
from tests.ingest_gateway.conftest import TOKENS

PATHS = st.sampled_from(["$.x", "$['x']", "$", "x", "$.", "", "$.a.b", "$x", 5, None])
TEXTS = st.sampled_from(["tokens", "A b", "", "a\n", "x" * 64, "x" * 65, "x" * 256, 5, None])
VALUES: st.SearchStrategy[Any] = st.sampled_from(["a", 5, 1.5, True, None, [], ["a", 1], [None], {}, [["a"]]])
FILTERS = st.fixed_dictionaries(
    {"property": PATHS, "op": st.sampled_from(["eq", "in", "gt", "exists", "like"])},
    optional={"value": VALUES, "other": VALUES},
)
METERS = st.fixed_dictionaries(
    {},
    optional={
        "code": TEXTS,
        "name": TEXTS,
        "event_name": TEXTS,
        "aggregation": st.sampled_from(["sum", "count", "median", None, 1]),
        "value_property": PATHS,
        "group_by": st.none() | st.dictionaries(st.sampled_from(["a", "a b", "", "x" * 65]), PATHS, max_size=2),
        "filters": st.none() | st.lists(FILTERS, max_size=2),
        "unit": TEXTS,
        "other": TEXTS,
    },
)


def allows(kind: Any) -> Callable[[Any], bool]:
    """Whether the record's schema allows a document."""
    validator = jsonschema_rs.validator_for(msgspec.json.schema(kind))
    return lambda document: bool(validator.is_valid(document))


@given(METERS.map(lambda changed: {**TOKENS, **changed}))
def test_every_accepted_meter_fits_its_schema(document: dict[str, Any]) -> None:
    """A document that the schema forbids is refused."""
    with suppress(Invalid):
        read_new_meter(document)
        assert MAY_BE_A_METER(document)


@given(METERS)
def test_every_accepted_change_fits_its_schema(document: dict[str, Any]) -> None:
    """The same holds for changes."""
    with suppress(Invalid):
        read_changes(document)
        assert MAY_BE_CHANGES(document)


MAY_BE_A_METER, MAY_BE_CHANGES = allows(MeterRequest), allows(MeterChanges)


@pytest.mark.parametrize(
    ("described", "read"),
    [
        (Event, event_formats.NativeEvent),
        (EventBatch, event_formats.NativeBatch),
        (CloudEvent, event_formats.DecodedCloudEvent),
    ],
)
def test_described_events_have_the_reader_s_fields(described: Any, read: Any) -> None:
    """The same names, and the same required ones."""

    def fields(kind: Any) -> dict[str, bool]:
        found = {field.encode_name: field.required for field in msgspec.structs.fields(kind)}
        return {name: required for name, required in found.items() if name != "data_base64"}

    assert fields(described) == fields(read)


EVENT = {"event_name": "e", "idempotency_key": "k", "customer_id": "c", "timestamp": "2026-11-21T10:30:00Z"}
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "event_name": TEXTS,
        "idempotency_key": TEXTS,
        "customer_id": TEXTS,
        "properties": st.none() | st.dictionaries(st.text(max_size=3), VALUES, max_size=2) | VALUES,
        "other": TEXTS,
    },
)
MAY_BE_AN_EVENT = allows(Event)


@given(EVENTS.map(lambda changed: {**EVENT, **changed}))
def test_an_event_is_accepted_exactly_where_its_schema_allows_it(document: dict[str, Any]) -> None:
    """In both directions."""
    posted = run_at_once(
        parse_body(
            msgspec.json.encode(document),
            "application/json",
            account=AccountId("a"),
            request_id="r",
            strict=False,
            backfill=False,
        )
    )
    assert (len(posted.valid) == 1) == MAY_BE_AN_EVENT(document)
