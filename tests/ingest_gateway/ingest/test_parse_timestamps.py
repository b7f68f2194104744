"""Timestamps are exact to the microsecond, need an offset, and are the same on the fast path and the slow one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.ingest.parse_timestamps import parse_timestamps
from schemas.moments import parse_timestamp
from schemas.timestamps import to_micros

moments = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1))  # noqa: DTZ001
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59)

pieces = st.one_of(
    st.sampled_from(["-", ":", "T", " ", "t", "Z", "z", "+", ".", ",", "", "24", "60", "00", "0000", "+05", "+0530"]),
    st.integers(0, 99).map("{:02}".format),
    st.integers(0, 9999).map("{:04}".format),
    st.text(max_size=2),
)
odd_texts = st.lists(pieces, max_size=14).map("".join)


@given(local=moments, offset=offsets)
def test_any_offset_is_the_same_instant(local: datetime, offset: int) -> None:
    aware = local.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert parse_timestamp(aware.isoformat()) == to_micros(aware.astimezone(UTC))


@given(texts=st.lists(st.one_of(odd_texts, moments.map(lambda moment: moment.isoformat() + "Z")), max_size=4))
def test_many_at_once_are_parsed_as_one_by_one(texts: list[str]) -> None:
    """The vectorised parser accepts nothing that the slow one refuses, and reads the same instant."""
    good = "2026-11-21T10:30:00Z"
    expected = [parse_timestamp(text) for text in texts]
    read = parse_timestamps(texts + [good] * 20)
    if None in expected:
        assert read is None
    else:
        assert read is not None
        assert read[: len(texts)] == expected


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-21T10:30:00.123456789Z", "2026-11-21T10:30:00.123456Z"),
        ("2026-11-21t10:30:00z", "2026-11-21T10:30:00Z"),
        ("2026-11-21 10:30+0100", "2026-11-21T09:30:00Z"),
        ("2026-11-21T10Z", "2026-11-21T10:00:00Z"),
    ],
)
def test_common_forms_are_accepted(text: str, same: str) -> None:
    """Nine digits are cut to six; short and lower-case forms are valid."""
    assert parse_timestamp(text) == parse_timestamp(same) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T10:30:00",
        "2026-02-29T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:30:60Z",
        "2026-11-21T10:30:00+24:00",
        "２026-11-21T10:30:00Z",
        "1763721000",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    """Dates without time or offset, impossible times and plain numbers."""
    assert parse_timestamp(text) is None
    assert parse_timestamps([text] * 20) is None
