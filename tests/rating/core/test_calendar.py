"""Periods: month ends, clock changes, and tiling of time in every zone."""

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.calendar import BillingFrequency, Cycle, anchored_cycle, clamped, period_at, resumed_period
from rating.core.local_time import days_later, local_date, to_instant, to_local
from rating.core.proration import Portion, service_period_in
from schemas.errors import Invalid
from schemas.plan import Interval
from schemas.timestamps import DAY, MINUTE, to_datetime, to_iso, to_micros

NEW_YORK = "America/New_York"
SANTIAGO = "America/Santiago"

SKIPPED_TO = date(2011, 12, 31)
"""Apia skipped the 30th of that month: a boundary on it is the first moment of the 31st."""

ST_JOHNS = "America/St_Johns"

zones = st.sampled_from(
    ("UTC", NEW_YORK, SANTIAGO, ST_JOHNS, "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "Pacific/Chatham")
)
moments = st.integers(to_micros(datetime(2001, 1, 1, tzinfo=UTC)), to_micros(datetime(2040, 1, 1, tzinfo=UTC)))
rhythms = st.builds(BillingFrequency, interval=st.sampled_from(Interval), count=st.integers(1, 5), zone=zones)


@st.composite
def cycles(draw: st.DrawFn) -> Cycle:
    """Cycles of every rhythm, zone and anchor day."""
    return anchored_cycle(draw(rhythms), draw(moments), draw(st.integers(1, 31)))


def local(text: str, zone: str) -> int:
    return to_instant(datetime.fromisoformat(text), zone)


def dates(cycle: Cycle, count: int) -> list[str]:
    return [local_date(cycle.boundary(number), cycle.frequency.zone).isoformat() for number in range(count)]


def monthly(zone: str, count: int = 1) -> BillingFrequency:
    return BillingFrequency(interval=Interval.MONTH, count=count, zone=zone)


def test_a_boundary_on_a_short_month_s_end_returns_to_its_day() -> None:
    """31 October in New York, through a leap February, with the clock changes between."""
    cycle = anchored_cycle(monthly(NEW_YORK), local("2027-10-31", NEW_YORK), 31)
    assert [to_iso(cycle.boundary(number)) for number in range(6)] == [
        "2027-10-31T04:00:00Z",
        "2027-11-30T05:00:00Z",
        "2027-12-31T05:00:00Z",
        "2028-01-31T05:00:00Z",
        "2028-02-29T05:00:00Z",
        "2028-03-31T04:00:00Z",
    ]


def test_a_boundary_on_a_leap_day_returns_in_leap_years() -> None:
    """It is 28 February in common years."""
    cycle = anchored_cycle(BillingFrequency(interval=Interval.YEAR), local("2024-02-29", "UTC"), 29)
    assert dates(cycle, 5) == ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


def test_a_skipped_midnight_is_the_end_of_the_gap() -> None:
    """The clock in Santiago went from 00:00 to 01:00 on 8 September 2024."""
    cycle = anchored_cycle(monthly(SANTIAGO), local("2024-08-08", SANTIAGO), 8)
    assert to_iso(cycle.boundary(1)) == "2024-09-08T04:00:00Z"
    assert to_local(cycle.boundary(1), SANTIAGO).hour == 1


def test_a_repeated_wall_time_is_the_first_of_the_two() -> None:
    """01:30 on 7 November 2027 in New York."""
    assert to_iso(days_later(local("2027-10-07T01:30", NEW_YORK), 31, NEW_YORK)) == "2027-11-07T05:30:00Z"


def test_a_month_does_not_restart_when_the_clock_is_set_back_over_its_midnight() -> None:
    """St. John's set its clock back from 00:01 on 1 November 2009: it was October again for an hour."""
    begun = local("2009-11-01", ST_JOHNS)
    cycle = anchored_cycle(monthly(ST_JOHNS), begun, 1)
    once_more = begun + 30 * MINUTE
    assert local_date(once_more, ST_JOHNS).isoformat() == "2009-10-31"
    assert period_at(cycle, once_more) == period_at(cycle, begun)
    assert service_period_in(period_at(cycle, begun), ST_JOHNS, start=once_more).portion == Portion(
        days=30, period_days=30
    )


@pytest.mark.parametrize(
    ("interval", "anchor", "first"),
    [
        ("day", "2027-01-01", "2027-08-19"),
        ("week", "2027-01-04", "2027-08-16"),
        ("month", "2027-01-01", "2027-08-01"),
        ("quarter", "2027-01-01", "2027-07-01"),
        ("year", "2027-01-01", "2027-01-01"),
    ],
)
def test_a_cycle_from_the_start_of_a_year_follows_the_wall_calendar(interval: str, anchor: str, first: str) -> None:
    """From a Monday, weeks stay on Monday; quarters start in January, April, July and October."""
    frequency = BillingFrequency(interval=Interval(interval), zone=NEW_YORK)
    cycle = anchored_cycle(frequency, local(anchor, NEW_YORK), 1)
    at = local("2027-08-19T17:45", NEW_YORK)
    assert to_local(period_at(cycle, at).start, NEW_YORK) == datetime.fromisoformat(first)


@pytest.mark.parametrize(
    ("start", "day", "interval", "boundaries"),
    [
        ("2026-02-10T15:00", 31, "month", ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("2026-01-31", 31, "month", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("2026-01-20", 15, "month", ["2026-02-15", "2026-03-15"]),
        ("2026-01-15T23:00", 15, "month", ["2026-01-15", "2026-02-15"]),
        ("2026-12-30", 29, "month", ["2027-01-29", "2027-02-28", "2027-03-29"]),
        ("2026-01-20", 15, "quarter", ["2026-02-15", "2026-05-15", "2026-08-15"]),
        ("2026-03-10", 1, "year", ["2026-04-01", "2027-04-01"]),
        ("2026-03-10T09:00", 1, "week", ["2026-03-10", "2026-03-17"]),
    ],
)
def test_an_anchor_day_is_kept_and_clamped(start: str, day: int, interval: str, boundaries: list[str]) -> None:
    """The first boundary is that day on or after the start; weeks are counted from the start's own date."""
    cycle = anchored_cycle(BillingFrequency(interval=Interval(interval), zone=NEW_YORK), local(start, NEW_YORK), day)
    assert dates(cycle, len(boundaries)) == boundaries


@given(cycles(), moments)
def test_every_moment_is_in_exactly_one_period(cycle: Cycle, at: int) -> None:
    """A moment on a boundary is in the new period."""
    period = period_at(cycle, at)
    assert period.start <= at < period.end
    assert period_at(cycle, period.start) == period
    assert period_at(cycle, period.end - 1) == period
    assert period_at(cycle, period.end).start == period.end


@given(cycles(), moments, st.integers(1, 400))
def test_periods_tile_time(cycle: Cycle, start: int, days: int) -> None:
    """They have no gap and no overlap, and none of them is empty."""
    found = [period_at(cycle, start)]
    while found[-1].end < start + days * DAY:
        found.append(period_at(cycle, found[-1].end))
    assert found[0].start <= start < found[0].end
    assert found[-1].start < start + days * DAY <= found[-1].end
    assert all(one.start < one.end == other.start for one, other in pairwise(found))


@given(rhythms.filter(lambda frequency: frequency.interval.months > 0), moments, st.integers(1, 31), st.integers(0, 30))
def test_each_boundary_lies_on_the_anchor_day(frequency: BillingFrequency, start: int, day: int, number: int) -> None:
    """Or on the last day of a shorter month; the first boundary is not before the start's date."""
    cycle = anchored_cycle(frequency, start, day)
    on = (cycle.anchor if number == 0 else to_local(cycle.boundary(number), frequency.zone)).date()
    assert on == clamped(on.year, on.month, day) or on == SKIPPED_TO
    assert cycle.anchor.date() >= local_date(start, frequency.zone)
    assert (cycle.anchor.date() - local_date(start, frequency.zone)).days <= 31


def test_a_change_of_zone_leaves_no_gap() -> None:
    """Eastward and westward, the next period starts where the last one ended, and is about a month long."""
    for before, after in ((NEW_YORK, "Asia/Tokyo"), ("Asia/Tokyo", NEW_YORK)):
        end = local("2026-05-01", before)
        period = resumed_period(anchored_cycle(monthly(after), end, 1), end)
        assert period.start == end
        assert to_local(period.end, after).isoformat() == "2026-06-01T00:00:00"


def test_a_change_of_zone_may_move_the_month_and_skips_no_days() -> None:
    """The anchor's date is in the month before in the new zone, so no boundary of the new cycle is near."""
    start = local("2027-03-01", "UTC")
    before, after = (
        anchored_cycle(BillingFrequency(interval=Interval.MONTH, count=2, zone=zone), start, 28)
        for zone in ("UTC", NEW_YORK)
    )
    end = before.boundary(3)
    assert to_iso(end) == "2027-09-28T00:00:00Z"
    assert resumed_period(after, end).end == local("2027-10-28", NEW_YORK)


def test_a_trial_ends_at_the_same_wall_time() -> None:
    """Even over a change of the clock."""
    start = local("2027-03-10T09:00", NEW_YORK)
    assert to_local(days_later(start, 14, NEW_YORK), NEW_YORK).isoformat() == "2027-03-24T09:00:00"
    assert to_datetime(days_later(start, 14, NEW_YORK) - start).hour == 23


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    """The message names the expected form."""
    with pytest.raises(Invalid, match="not a known time zone"):
        to_local(0, name)
