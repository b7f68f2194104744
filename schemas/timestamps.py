"""Time as whole microseconds since 1970 in UTC."""

from datetime import UTC, datetime, timedelta
from typing import NewType

Micros = NewType("Micros", int)

MILLISECOND = Micros(1_000)
SECOND = Micros(1_000_000)
MINUTE = Micros(60 * SECOND)
DAY = Micros(86_400 * SECOND)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST_YEAR, LAST_YEAR = 2000, 2199
"""A moment of another year can only be a mistake, and no calendar is calculated for it. Events are as old as 1970."""


def to_micros(value: datetime) -> Micros:
    """An aware datetime as microseconds."""
    since = value - EPOCH
    return Micros((since.days * 86_400 + since.seconds) * SECOND + since.microseconds)


def to_datetime(micros: int) -> datetime:
    """Microseconds as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=micros)


_FIRST_SHOWN = to_micros(datetime.min.replace(tzinfo=UTC))
_LAST_SHOWN = to_micros(datetime.max.replace(tzinfo=UTC))


def to_iso(micros: int) -> str:
    """`2026-11-21T10:30:00Z`, with a fraction only if there is one.

    Never raises: a listing shows any stored row. A moment before the year 1 or after 9999 is shown as the first or the
    last one that has such a text.
    """
    shown = min(max(micros, _FIRST_SHOWN), _LAST_SHOWN)
    return to_datetime(shown).isoformat().replace("+00:00", "Z")


def iso_or_none(micros: int | None) -> str | None:
    """`to_iso`, or None for None."""
    return None if micros is None else to_iso(micros)


def month_of(micros: int) -> int:
    """The UTC month as a number such as 202611, by which the store partitions the rows of a flush."""
    value = to_datetime(micros)
    return value.year * 100 + value.month
