"""Conversion between instants and the wall time of a zone."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from schemas.timestamps import Micros, to_datetime, to_micros
from schemas.timezones import check_time_zone


@cache
def zone(name: str) -> ZoneInfo:
    """Raises Invalid if there is no such time zone."""
    return check_time_zone(name, "timezone")


def to_local(at: int, zone_name: str) -> datetime:
    """The wall time, as a naive datetime."""
    return to_datetime(at).astimezone(zone(zone_name)).replace(tzinfo=None, fold=0)


def to_instant(local: datetime, zone_name: str) -> Micros:
    """The instant of a wall time: the first of two if the clock repeats it, the end of the gap if it is skipped."""
    return to_micros(local.replace(tzinfo=zone(zone_name), fold=0).astimezone(UTC))


def local_date(at: int, zone_name: str) -> date:
    return to_local(at, zone_name).date()


def last_date(end: int, zone_name: str) -> date:
    """The last local date of a period that ends at `end`, exclusive."""
    return local_date(end - 1, zone_name)


def days_later(at: int, days: int, zone_name: str) -> Micros:
    """The same wall time `days` days later, as for the end of a trial."""
    return to_instant(to_local(at, zone_name) + timedelta(days=days), zone_name)
