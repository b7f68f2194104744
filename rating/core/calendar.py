"""Billing periods: boundaries reckoned from an anchor, each anew, in the wall time of a zone."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import assert_never

import msgspec

from rating.core.local_time import local_date, to_instant, to_local
from schemas.plan import Interval
from schemas.timestamps import MINUTE, Micros

_DAY = timedelta(days=1)
_MAX_ZONE_GAP = 27 * 60 * MINUTE
"""No two zones' midnights of one date are further apart."""


class BillingFrequency(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and by whose calendar."""

    interval: Interval
    count: int = 1
    zone: str = "UTC"


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Half-open: its end is the start of the next."""

    start: Micros
    end: Micros


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """Boundaries without end, backwards and forwards; boundary 0 is the anchor."""

    frequency: BillingFrequency
    anchor: datetime
    """Wall time, without a zone."""
    day: int
    """The day of the month before it is clamped: 31, though the anchor itself may be a 30th."""

    def boundary(self, number: int) -> Micros:
        return to_instant(self._wall_time(number), self.frequency.zone)

    def _wall_time(self, number: int) -> datetime:
        step = number * self.frequency.count
        if months := self.frequency.interval.months:
            year, month = divmod(self.anchor.year * 12 + self.anchor.month - 1 + step * months, 12)
            return datetime.combine(clamped(year, month + 1, self.day), self.anchor.time())
        return self.anchor + step * self.frequency.interval.days * _DAY


def anniversary(frequency: BillingFrequency, start: int) -> Cycle:
    """The start is the anchor, with its time of day."""
    anchor = to_local(start, frequency.zone)
    return Cycle(frequency=frequency, anchor=anchor, day=anchor.day)


def anchored_cycle(frequency: BillingFrequency, start: int, day: int) -> Cycle:
    """Boundaries at midnight of the first such day of the month on or after the start.

    Days and weeks have no day of the month: their boundaries are the midnights reckoned from the start's own date.
    """
    first = local_date(start, frequency.zone)
    if frequency.interval.months:
        first = _next_anchor_day(first, day)
    else:
        day = first.day
    return Cycle(frequency=frequency, anchor=datetime.combine(first, time()), day=day)


def by_calendar(frequency: BillingFrequency, start: int) -> Cycle:
    """From the first of the month, quarter or year, or from Monday, in which the start lies."""
    on = local_date(start, frequency.zone)
    match frequency.interval:
        case Interval.DAY:
            first = on
        case Interval.WEEK:
            first = on - on.weekday() * _DAY
        case Interval.MONTH:
            first = on.replace(day=1)
        case Interval.QUARTER:
            first = on.replace(month=on.month - (on.month - 1) % 3, day=1)
        case Interval.YEAR:
            first = on.replace(month=1, day=1)
        case _:
            assert_never(frequency.interval)
    return Cycle(frequency=frequency, anchor=datetime.combine(first, time()), day=first.day)


def period_at(cycle: Cycle, at: int) -> Period:
    """The full period with `start ≤ at < end`: a moment on a boundary opens the new one."""
    number = _last_boundary(cycle, at)
    return Period(start=cycle.boundary(number), end=cycle.boundary(number + 1))


def periods(cycle: Cycle, start: int, end: int) -> Iterator[Period]:
    """The full periods that share a moment with `[start, end)`, oldest first."""
    at = start
    while at < end:
        period = period_at(cycle, at)
        yield period
        at = period.end


def resumed_period(cycle: Cycle, at: int) -> Period:
    """The period after a change of zone: it starts where the last one ended, and ends on the new zone's boundary.

    The boundary nearest to `at` is the one the last period ended for, if it is no further away than zones are apart.
    """
    number = _last_boundary(cycle, at)
    if cycle.boundary(number + 1) - at < min(at - cycle.boundary(number), _MAX_ZONE_GAP):
        number += 1
    return Period(start=Micros(at), end=cycle.boundary(number + 1))


def clamped(year: int, month: int, day: int) -> date:
    """That day of the month, or the month's last."""
    return date(year, month, min(day, monthrange(year, month)[1]))


def _last_boundary(cycle: Cycle, at: int) -> int:
    """The number of the last boundary that is not after `at`: a good guess, then steps."""
    local = to_local(at, cycle.frequency.zone)
    if months := cycle.frequency.interval.months:
        apart = (local.year - cycle.anchor.year) * 12 + local.month - cycle.anchor.month
        number = apart // (months * cycle.frequency.count)
    else:
        number = (local.date() - cycle.anchor.date()).days // (cycle.frequency.interval.days * cycle.frequency.count)
    while cycle.boundary(number) > at:
        number -= 1
    while cycle.boundary(number + 1) <= at:
        number += 1
    return number


def _next_anchor_day(first: date, day: int) -> date:
    this_month = clamped(first.year, first.month, day)
    if this_month >= first:
        return this_month
    following = first.replace(day=1) + 31 * _DAY
    return clamped(following.year, following.month, day)
