"""Billing periods: boundaries calculated from an anchor, each independently, in the wall time of a zone."""

from calendar import monthrange
from datetime import date, datetime, time, timedelta

import msgspec

from rating.core.local_time import local_date, to_instant, to_local
from schemas.plan import Interval
from schemas.timestamps import MINUTE, Micros

_DAY = timedelta(days=1)
_MAX_ZONE_GAP = 27 * 60 * MINUTE
"""The most that two zones' midnights of one date can be apart."""


class BillingFrequency(msgspec.Struct, frozen=True, kw_only=True):
    """A plan's billing interval, in the calendar of one zone."""

    interval: Interval
    count: int = 1
    zone: str = "UTC"


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Half-open: the end of a period is the start of the next."""

    start: Micros
    end: Micros


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """An endless sequence of boundaries, backwards and forwards; boundary 0 is the anchor."""

    frequency: BillingFrequency
    anchor: datetime
    """Wall time, without a zone."""
    day: int
    """The day of the month before clamping: 31, even if the anchor itself is a 30th."""

    def boundary(self, number: int) -> Micros:
        return to_instant(self._wall_time(number), self.frequency.zone)

    def _wall_time(self, number: int) -> datetime:
        step = number * self.frequency.count
        if months := self.frequency.interval.months:
            year, month = divmod(self.anchor.year * 12 + self.anchor.month - 1 + step * months, 12)
            return datetime.combine(clamped(year, month + 1, self.day), self.anchor.time())
        return self.anchor + step * self.frequency.interval.days * _DAY


def anchored_cycle(frequency: BillingFrequency, start: int, day: int) -> Cycle:
    """Boundaries at midnight, from the first such day of the month on or after the start.

    Days and weeks have no day of the month: their boundaries are midnights counted from the start's own date.
    """
    first = local_date(start, frequency.zone)
    if frequency.interval.months:
        first = _next_anchor_day(first, day)
    else:
        day = first.day
    return Cycle(frequency=frequency, anchor=datetime.combine(first, time()), day=day)


def period_at(cycle: Cycle, at: int) -> Period:
    """The full period with `start ≤ at < end`: a moment on a boundary belongs to the new period."""
    number = _last_boundary(cycle, at)
    return Period(start=cycle.boundary(number), end=cycle.boundary(number + 1))


def resumed_period(cycle: Cycle, at: int) -> Period:
    """The period after a change of zone: from the end of the last period to a boundary of the new zone.

    A boundary no further from `at` than zones are apart is the one that the last period ended at, and is skipped.
    """
    number = _last_boundary(cycle, at)
    if cycle.boundary(number + 1) - at < min(at - cycle.boundary(number), _MAX_ZONE_GAP):
        number += 1
    return Period(start=Micros(at), end=cycle.boundary(number + 1))


def clamped(year: int, month: int, day: int) -> date:
    """That day of the month, or the last day of a shorter month."""
    return date(year, month, min(day, monthrange(year, month)[1]))


def _last_boundary(cycle: Cycle, at: int) -> int:
    """The number of the last boundary not after `at`: an estimate, then single steps."""
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
