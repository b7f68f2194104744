"""Meters over HTTP: created once, shown, renamed, archived."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.api.meter_documents import MeterRequest, read_changes, read_new_meter
from schemas.errors import Invalid
from tests.ingest_gateway.conftest import TOKENS, InMemoryApp

pytestmark = pytest.mark.anyio


async def test_the_example_is_accepted(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """A full meter is created, answered whole, and found at `Location` with its backfill."""
    made = await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS)
    assert made.status_code == 201
    meter = made.json()["meter"]
    assert {field: meter[field] for field in TOKENS} == TOKENS
    assert (meter["version"], meter["archived"]) == (1, False)
    found = await in_memory_app.client.get(made.headers["location"], headers=auth)
    assert found.json()["meter"] == meter | {"backfill": {"done": False, "chunks_done": 1, "chunks_total": None}}


async def test_the_smallest_meter_has_four_fields(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Counting events needs no property, group, filter or unit."""
    small = {"code": "n", "name": "N", "event_name": "e", "aggregation": "count"}
    made = (await in_memory_app.client.post("/v1/meters", headers=auth, json=small)).json()["meter"]
    assert (made["value_property"], made["group_by"], made["filters"], made["unit"]) == (None, {}, [], None)


async def test_numbers_in_filters_keep_every_digit(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """A filter's number is shown exactly as posted."""
    body = b'{"code":"n","name":"N","event_name":"e","aggregation":"count","filters":[%s]}'
    given_filter = b'{"property":"$.x","op":"in","value":[0.10000000000000000001,1,"1",true]}'
    made = await in_memory_app.client.post("/v1/meters", headers=auth, content=body % given_filter)
    assert b'"value":[0.10000000000000000001,1,"1",true]' in made.content


async def test_a_code_in_use_is_409(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """A code names one meter permanently, archived or not."""
    await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS)
    assert (await in_memory_app.client.delete("/v1/meters/tokens", headers=auth)).json()["meter"]["archived"]
    again = await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "CONFLICT")
    assert again.json()["error"]["details"] == {"field": "code"}


async def test_only_name_and_unit_change(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The definition that usage was counted with never changes."""
    await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS)
    changed = await in_memory_app.client.patch("/v1/meters/tokens", headers=auth, json={"name": "T", "unit": None})
    assert (changed.json()["meter"]["name"], changed.json()["meter"]["unit"]) == ("T", None)
    refused = await in_memory_app.client.patch("/v1/meters/tokens", headers=auth, json={"aggregation": "max"})
    assert refused.status_code == 400
    assert "cannot be changed" in refused.json()["error"]["message"]
    assert (await in_memory_app.client.patch("/v1/meters/tokens", headers=auth, json={})).status_code == 400


async def test_an_unknown_meter_is_404(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Every method answers an unknown code the same way."""
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        reply = await in_memory_app.client.request(method, "/v1/meters/nope", headers=auth, json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_listing_pages_through_all(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Following the cursor shows each meter once, in order of creation."""
    for number in range(5):
        await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS | {"code": f"m{number}"})
    shown, cursor = [], ""
    while cursor is not None:
        page = (await in_memory_app.client.get(f"/v1/meters?limit=2&cursor={cursor}", headers=auth)).json()
        shown += [meter["code"] for meter in page["meters"]]
        cursor = page["pagination"]["next_cursor"]
        assert page["pagination"]["has_more"] == (cursor is not None)
    assert shown == [f"m{number}" for number in range(5)]
    assert (await in_memory_app.client.get("/v1/meters?cursor=999", headers=auth)).status_code == 400


@pytest.mark.parametrize(
    ("change", "field", "hint"),
    [
        ({"code": "Tokens"}, "code", "lower-case"),
        ({"code": "a__b"}, "code", "lower-case"),
        ({"code": "a\n"}, "code", "control"),
        ({"code": "x" * 65}, "code", "1 to 64"),
        ({"code": 5}, "code", "1 to 64"),
        ({"name": ""}, "name", "1 to 255"),
        ({"name": None}, "name", "required"),
        ({"event_name": "a\x00"}, "event_name", "control"),
        ({"aggregation": "median"}, "aggregation", "latest"),
        ({"aggregation": ["sum"]}, "aggregation", "latest"),
        ({"aggregation": "count"}, "value_property", "count needs none"),
        ({"value_property": None}, "value_property", "sum needs one"),
        ({"value_property": "tokens"}, "value_property", "starts with '$'"),
        ({"value_property": "$.a[0]"}, "value_property", "character 4"),
        ({"value_property": 7}, "value_property", "property path"),
        ({"group_by": ["model"]}, "group_by", "object"),
        ({"group_by": {f"g{number}": "$.x" for number in range(17)}}, "group_by", "16"),
        ({"group_by": {"a b": "$.x"}}, "group_by", "'a b'"),
        ({"group_by": {"a": "x"}}, "group_by.a", "starts with '$'"),
        ({"filters": {}}, "filters", "32"),
        ({"filters": [{"property": "$.x", "op": "exists"}] * 33}, "filters", "32"),
        ({"filters": [{"property": "$.x", "op": "like", "value": "a"}]}, "filters[0].op", "one of"),
        ({"filters": [{"property": "x", "op": "eq", "value": "a"}]}, "filters[0].property", "starts with"),
        ({"filters": [{"property": "$.x", "op": "eq"}]}, "filters[0].value", "nothing"),
        ({"filters": [{"property": "$.x", "op": "eq", "value": {}}]}, "filters[0].value", "a text, a number"),
        ({"filters": [{"property": "$.x", "op": "in", "value": []}]}, "filters[0].value", "a list"),
        ({"filters": [{"property": "$.x", "op": "gt", "value": "5"}]}, "filters[0].value", "a number"),
        ({"filters": [{"property": "$.x", "op": "gt", "value": True}]}, "filters[0].value", "a number"),
        ({"filters": [{"property": "$.x", "op": "lt", "value": 10**15}]}, "filters[0].value", "a number"),
        ({"filters": [{"property": "$.x", "op": "exists", "value": "no"}]}, "filters[0].value", "true or false"),
        ({"filters": [{"property": "$.x", "op": "exists", "valeu": 1}]}, "filters[0].valeu", "did you mean value?"),
        ({"filters": ["$.x"]}, "filters[0]", "object"),
        ({"unit": ""}, "unit", "1 to 64"),
        ({"groupby": {}}, "groupby", "did you mean group_by?"),
    ],
)
async def test_mistakes_name_their_field(
    in_memory_app: InMemoryApp, auth: dict[str, str], change: dict[str, Any], field: str, hint: str
) -> None:
    """Each mistake states where it is and how to mend it, and nothing is created."""
    reply = await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS | change)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert [mistake["field"] for mistake in error["details"]] == [field]
    assert hint in error["details"][0]["message"]
    assert error["message"].startswith(f"{field}: ")
    assert await in_memory_app.meters.newest_version() == 0


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from([*MeterRequest.__struct_fields__, "property", "op", "value", "other"])


@given(st.dictionaries(_NAMES, _JSON | st.sampled_from(["sum", "count", "$.x", [{"property": "$.x", "op": "gt"}]])))
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    """Any JSON object is a meter, or an Invalid with at least one field."""
    for read in (read_new_meter, read_changes):
        try:
            read(document)
        except Invalid as refusal:
            assert refusal.details  # noqa: PT017 - both endings are good, but a refusal must say where
