"""Proration: days are counted by the wall calendar; amounts are divided and rounded once."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.calendar import BillingFrequency, Period, anchored_cycle, period_at
from rating.core.local_time import to_instant
from rating.core.proration import Portion, prorated, prorated_to_minor, service_period_in
from schemas.plan import Interval

NEW_YORK = "America/New_York"


def local(text: str) -> int:
    return to_instant(datetime.fromisoformat(text), NEW_YORK)


@pytest.fixture
def march() -> Period:
    """March 2027 in New York: an hour short of 31 days."""
    start = local("2027-03-01")
    return period_at(anchored_cycle(BillingFrequency(interval=Interval.MONTH, zone=NEW_YORK), start, 1), start)


def test_twenty_days_of_thirty() -> None:
    """47.00 a month."""
    assert prorated(4700, Portion(days=20, period_days=30)) == 3133
    assert prorated_to_minor(Decimal(47), "USD", Portion(days=20, period_days=30)) == 3133


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (None, None, 31),
        ("2027-03-12", None, 20),
        ("2027-03-12T23:59", None, 20),
        (None, "2027-03-20T00:00", 19),
        (None, "2027-03-20T00:01", 20),
        ("2027-03-14T01:00", "2027-03-14T04:00", 1),
        ("2027-02-01", "2027-05-01", 31),
        ("2027-03-13", "2027-03-16", 3),
    ],
)
def test_local_dates_are_counted(march: Period, start: str | None, end: str | None, days: int) -> None:
    """The day of the start and the day of the end both count; the clock change of the 14th does not matter."""
    service = service_period_in(march, NEW_YORK, (start and local(start)) or None, (end and local(end)) or None)
    assert service.portion == Portion(days=days, period_days=31)
    assert march.start <= service.start <= service.end <= march.end


def test_a_stub_is_measured_against_the_full_period() -> None:
    """18 days of the 28 from 31 January to 28 February."""
    start = local("2026-02-10T15:00")
    period = period_at(anchored_cycle(BillingFrequency(interval=Interval.MONTH, zone=NEW_YORK), start, 31), start)
    assert service_period_in(period, NEW_YORK, start).portion == Portion(days=18, period_days=28)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 31), min_size=1, max_size=6).filter(any))
def test_prorated_parts_add_up_to_the_whole_but_for_rounding(price: int, parts: list[int]) -> None:
    """Each rounding moves the sum by half a minor unit at most."""
    days = sum(parts)
    portions = [Portion(days=part, period_days=days) for part in parts]
    assert sum(Fraction(price * part, days) for part in parts) == price
    assert abs(sum(prorated(price, portion) for portion in portions) - price) <= Fraction(len(parts), 2)
