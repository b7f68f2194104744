"""Request field types accept exactly what the API description allows, line breaks included."""

from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import field_types
from schemas.billing_settings import InvoicePrefix
from schemas.credit import CurrencyCode

GOOD: dict[Any, str] = {
    field_types.Name: "Acme",
    field_types.ShortText: "Acme",
    field_types.Url: "https://acme.example/a?b#c",
    field_types.Email: "billing@acme.example",
    field_types.Code: "pro_monthly",
    field_types.Id: "cm5x9z8nv0000h85r7l9p2k1m",
    field_types.Currency: "EUR",
    field_types.Country: "DE",
    field_types.Locale: "de-DE",
    field_types.ZoneName: "Europe/Berlin",
    InvoicePrefix: "INV-",
    CurrencyCode: "eur",
}
PARTS = st.sampled_from(["\n", "\r", "\x00", "\x1c", "\x7f", "\x85", "\xa0", "\u2028", "\ufeff", " ", "@", "_", "é"])


def is_taken(kind: Any, text: str) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


def test_every_single_line_is_tried() -> None:
    """The parameters include every type with a pattern, except texts of several lines."""
    bounded = {kind for kind in vars(field_types).values() if _pattern(kind) is not None}
    assert bounded - {field_types.LongText} == {kind for kind in GOOD if kind not in (InvoicePrefix, CurrencyCode)}


@pytest.mark.parametrize("kind", GOOD, ids=GOOD.values())
def test_a_line_break_at_the_end_is_refused(kind: Any) -> None:
    """A bare `$` would accept it."""
    assert is_taken(kind, GOOD[kind])
    assert not is_taken(kind, f"{GOOD[kind]}\n")


@pytest.mark.parametrize("kind", GOOD, ids=GOOD.values())
@given(start=st.lists(PARTS, max_size=2), end=st.lists(PARTS, max_size=2))
def test_other_validators_agree(kind: Any, start: list[str], end: list[str]) -> None:
    """Python and JSON Schema patterns differ in places; these patterns mean the same in both."""
    text = "".join([*start, GOOD[kind], *end])
    schema = msgspec.json.schema(kind)
    assert jsonschema_rs.validator_for(schema).is_valid(text) == is_taken(kind, text)


def _pattern(kind: Any) -> str | None:
    metas = [each for each in get_args(kind)[1:] if isinstance(each, msgspec.Meta)]
    return next((meta.pattern for meta in metas if meta.pattern is not None), None)
