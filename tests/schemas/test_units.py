"""Durations and sizes are read back as written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.timestamps import DAY, MINUTE, SECOND
from schemas.units import parse_duration, parse_size, show_duration, show_size


@given(st.integers(0, 10**9))
def test_a_duration_reads_back(milliseconds: int) -> None:
    """A shown value can be given as a setting."""
    micros = milliseconds * (SECOND // 1000)
    assert parse_duration(show_duration(micros)) == micros


@given(st.integers(0, 10**12 - 1))
def test_a_size_reads_back(size: int) -> None:
    """A shown value can be given as a setting."""
    assert parse_size(show_size(size)) == size


def test_the_largest_fitting_unit_is_shown() -> None:
    """`35d`, not `840h`."""
    assert [show_duration(35 * DAY), show_duration(90 * MINUTE), show_duration(0)] == ["35d", "90m", "0ms"]
    assert [show_size(4 * 10**9), show_size(1_500_000), show_size(12)] == ["4GB", "1500KB", "12B"]


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 weeks", "1.5h", "5M", "٣m", "5mm"])
def test_a_malformed_duration_is_refused(text: str) -> None:
    """A number without a unit is ambiguous."""
    with pytest.raises(ValueError, match=r".*"):
        parse_duration(text)
