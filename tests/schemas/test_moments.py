"""Moments: one range and one text form wherever a request holds one."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from schemas.moments import EventMoment, Moment, parse_moment, read_text, read_value
from schemas.timestamps import to_iso


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Moments at each place of a record."""

    at: Moment | None = None
    until: Annotated[Moment, Meta(description="The end.")] | UnsetType | None = UNSET
    inner: tuple["Record", ...] = ()


@pytest.mark.parametrize(
    "text",
    ["2000-01-01T00:00:00Z", "1999-12-31T00:01:00-23:59", "2199-12-31T23:59:59.999999Z", "2200-01-01T23:58:59+23:59"],
)
def test_the_range_is_of_utc(text: str) -> None:
    assert to_iso(parse_moment(text))[:4] in ("2000", "2199")


@pytest.mark.parametrize(
    "text",
    ["1999-12-31T23:59:59.999999Z", "2000-01-01T00:00:00+00:01", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"],
)
def test_other_years_are_refused_with_the_range(text: str) -> None:
    with pytest.raises(ValueError, match="from 2000 to 2199 in UTC"):
        parse_moment(text)


def test_queries_of_events_reach_back_to_1970() -> None:
    assert parse_moment("1970-01-01T00:00:00Z", EventMoment) == 0
    with pytest.raises(ValueError, match="from 1970 to 2199"):
        parse_moment("1969-12-31T23:59:59Z", EventMoment)


def test_a_record_holds_plain_integers() -> None:
    """They are encoded and stored like any other."""
    record = read_value({"at": "2026-11-21T10:30:00Z", "until": None, "inner": [{"at": None}]}, Record)
    assert record == Record(at=Moment(1_795_257_000_000_000), until=None, inner=(Record(),))
    assert type(record.at) is int
    assert msgspec.json.decode(msgspec.json.encode(record))["at"] == record.at


@pytest.mark.parametrize(
    ("document", "place"),
    [({"at": 5}, "$.at"), ({"until": "soon"}, "$.until"), ({"inner": [{"at": "1e3"}]}, "$.inner[0].at")],
)
def test_a_refusal_names_the_place(document: dict[str, Any], place: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="ISO 8601") as refused:
        read_value(document, Record)
    assert str(refused.value).endswith(f"`{place}`")


def test_only_a_query_may_have_a_space_for_the_plus() -> None:
    """A client that does not escape '+' sends it as a space."""
    text = "2026-11-21T10:30:00 01:00"
    assert to_iso(read_text(text, Moment)) == "2026-11-21T09:30:00Z"
    with pytest.raises(msgspec.ValidationError):
        read_value(text, Moment)


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (-(2**63), "0001-01-01T00:00:00Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999999Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_any_stored_moment_has_a_text(micros: int, shown: str) -> None:
    assert to_iso(micros) == shown
