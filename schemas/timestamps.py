"""Time as whole microseconds since 1970 in UTC: exact, small, and cheap to compare."""

from datetime import UTC, datetime, timedelta
from typing import NewType

Micros = NewType("Micros", int)

MILLISECOND = Micros(1_000)
SECOND = Micros(1_000_000)
MINUTE = Micros(60 * SECOND)
DAY = Micros(86_400 * SECOND)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(value: datetime) -> Micros:
    """An aware datetime as microseconds."""
    since = value - EPOCH
    return Micros((since.days * 86_400 + since.seconds) * SECOND + since.microseconds)


def to_datetime(micros: int) -> datetime:
    """Microseconds as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=micros)


def to_iso(micros: int) -> str:
    """`2026-11-21T10:30:00Z`, with a fraction only where there is one."""
    return to_datetime(micros).isoformat().replace("+00:00", "Z")


def iso_or_none(micros: int | None) -> str | None:
    """The same of a time that may not have come."""
    return None if micros is None else to_iso(micros)


def month_of(micros: int) -> int:
    """The UTC month as 202611: the table partition of every row of a flush."""
    value = to_datetime(micros)
    return value.year * 100 + value.month
