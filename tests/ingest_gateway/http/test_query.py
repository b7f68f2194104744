"""Query parameters as records: what is accepted, and the one mistake that a refusal states."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from ingest_gateway.http.query import read_parameters
from schemas.errors import Invalid
from schemas.moments import Moment


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of each type."""

    meter: Annotated[str, Meta(examples=["tokens"])]
    start: Moment | None = msgspec.field(default=None, name="from")
    color: Color = Color.RED
    open: bool = False
    limit: Annotated[int, Meta(ge=1, le=10)] = 5
    ids: tuple[str, ...] = ()
    group: dict[str, Any] = {}


def test_each_type_is_read() -> None:
    """Lists take commas and repetition, each value once; a dict takes the values of each key."""
    plain = b"meter=m&from=2026-11-01T00:00:00Z&color=blue&open=true&limit=7"
    text = plain + b"&ids=a,b&ids=b,c\\,d&group[x]=1&group[x]=&group[]=2"
    assert read_parameters(text, Parameters) == Parameters(
        meter="m",
        start=Moment(1_793_491_200_000_000),
        color=Color.BLUE,
        open=True,
        limit=7,
        ids=("a", "b", "c,d"),
        group={"x": ("1", ""), "": ("2",)},
    )


def test_an_empty_value_counts_as_absent() -> None:
    """Forms send the empty text for a field that was left out."""
    assert read_parameters(b"meter=m&from=&color=&open=&limit=&ids=", Parameters) == Parameters(meter="m")


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        (b"", "meter", "this query parameter is required, such as meter=tokens"),
        (b"meter=", "meter", "this query parameter is required"),
        (b"meter=a&meter=b", "meter", "give it once, not 2 times"),
        (b"meter=m&from=yesterday", "from", "expected an ISO 8601 time with an offset"),
        (b"meter=m&color=green", "color", "expected one of red, blue; got 'green'"),
        (b"meter=m&open=yes", "open", "expected true or false; got 'yes'"),
        (b"meter=m&limit=11", "limit", "expected a whole number from 1 to 10; got '11'"),
        (b"meter=m&limit=" + b"1" * 5_000, "limit", "expected a whole number from 1 to 10"),
    ],
)
def test_a_wrong_value_names_its_parameter(text: bytes, field: str, message: str) -> None:
    """The error states the first mistake only."""
    with pytest.raises(Invalid, match=f"^{field}: {message}") as refusal:
        read_parameters(text, Parameters)
    assert (refusal.value.code, refusal.value.field, refusal.value.details) == ("VALIDATION_ERROR", field, None)


@pytest.mark.parametrize("name", ["metre", "group", "meter[x]", "group[x"])
def test_an_unknown_name_has_a_code_of_its_own(name: str) -> None:
    """Clients recognize a misspelt parameter by the code."""
    with pytest.raises(Invalid, match="no such query parameter") as refusal:
        read_parameters(f"meter=m&{name}=1".encode(), Parameters)
    assert (refusal.value.code, refusal.value.field) == ("UNKNOWN_FIELD", name)
