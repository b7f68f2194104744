"""Proration: the days a subscription is served for within a billing period, and their share of an amount."""

from datetime import timedelta
from decimal import Decimal

import msgspec

from rating.core.calendar import Period
from rating.core.local_time import last_date, local_date
from schemas.money import exponent, rounded_share
from schemas.timestamps import Micros


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """Days of service out of the days of the full period."""

    days: int
    period_days: int

    @property
    def is_whole(self) -> bool:
        return self.days == self.period_days


WHOLE = Portion(days=1, period_days=1)


class ServicePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A half-open span of service within one billing period."""

    start: Micros
    end: Micros
    portion: Portion


def service_period_in(period: Period, zone: str, start: int | None = None, end: int | None = None) -> ServicePeriod:
    """The overlap of the full period with `[start, end)`: a stub if the subscription starts or ends inside it.

    The day of the start counts, and so does the day of the end.
    """
    period_days = _days_in(period, zone)
    begins = period.start if start is None else Micros(max(period.start, start))
    ends = period.end if end is None else Micros(min(period.end, end))
    if begins == period.start and ends == period.end:
        return ServicePeriod(start=begins, end=ends, portion=Portion(days=period_days, period_days=period_days))
    # Where the clock is set back over midnight, a wall time inside the period may show a date outside it.
    first = max(local_date(begins, zone), local_date(period.start, zone))
    after = min(last_date(ends, zone) + timedelta(days=1), local_date(period.end, zone))
    portion = Portion(days=max(0, (after - first).days), period_days=period_days)
    return ServicePeriod(start=begins, end=Micros(max(begins, ends)), portion=portion)


def _days_in(period: Period, zone: str) -> int:
    """Counts local dates, never blocks of 24 hours."""
    return max(1, (local_date(period.end, zone) - local_date(period.start, zone)).days)


def prorated(minor: int, portion: Portion) -> int:
    """The portion of an amount in minor units, rounded once."""
    return rounded_share(minor, portion.days, portion.period_days)


def prorated_to_minor(amount: Decimal, currency: str, portion: Portion) -> int:
    """The portion of an amount in major units, as minor units; only the result is rounded."""
    return rounded_share(amount, portion.days * 10 ** exponent(currency), portion.period_days)
