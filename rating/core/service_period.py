"""Service: the part of a billing period in which a subscription was there, and how many of its days that is."""

from datetime import timedelta

import msgspec

from rating.core.calendar import Period
from rating.core.local_time import last_date, local_date
from rating.core.proration import Portion
from schemas.timestamps import Micros


class ServicePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """Half-open, within one period."""

    start: Micros
    end: Micros
    portion: Portion


def full_service_period(period: Period, zone: str) -> ServicePeriod:
    """The period from end to end."""
    days = days_in(period, zone)
    return ServicePeriod(start=period.start, end=period.end, portion=Portion(days=days, period_days=days))


def service_period_in(period: Period, zone: str, start: int | None = None, end: int | None = None) -> ServicePeriod:
    """What of the full period lies in `[start, end)`: a stub where the subscription starts or ends inside it.

    The day of the start counts, and so does the day of the end.
    """
    begins = period.start if start is None else Micros(max(period.start, start))
    ends = period.end if end is None else Micros(min(period.end, end))
    if begins == period.start and ends == period.end:
        return full_service_period(period, zone)
    # Where the clock is set back over midnight, a wall time inside the period may show a date outside it.
    first = max(local_date(begins, zone), local_date(period.start, zone))
    after = min(last_date(ends, zone) + timedelta(days=1), local_date(period.end, zone))
    portion = Portion(days=max(0, (after - first).days), period_days=days_in(period, zone))
    return ServicePeriod(start=begins, end=Micros(max(begins, ends)), portion=portion)


def unused_in(period: Period, zone: str, end: int) -> ServicePeriod:
    """What is left of the full period for one that ends at `end`: the day of the end is still used."""
    used = service_period_in(period, zone, end=end)
    days = used.portion.period_days
    return ServicePeriod(
        start=used.end, end=period.end, portion=Portion(days=days - used.portion.days, period_days=days)
    )


def days_in(period: Period, zone: str) -> int:
    """Local dates, never blocks of 24 hours."""
    return max(1, (local_date(period.end, zone) - local_date(period.start, zone)).days)
