"""The type of a moment in a request: its text form, its range, and the reading of values that hold moments."""

import re
from datetime import UTC, datetime
from typing import Any, Self, cast

import msgspec

from schemas.timestamps import FIRST_YEAR, LAST_YEAR, MINUTE, Micros, to_micros

MOMENTS_START = to_micros(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
MOMENTS_END = to_micros(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))
"""The first moment after the range."""

_LONGEST = 64
_LONGEST_SHOWN = 60
_FORM = "an ISO 8601 time with an offset, such as 2026-11-01T00:00:00Z"

_TEXT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ]"
    r"(?P<hour>\d{2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?)?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<hours>[01]\d|2[0-3])(?::?(?P<minutes>[0-5]\d))?)",
    re.ASCII,
)


def parse_timestamp(text: str) -> Micros | None:
    """Microseconds since 1970, in any year; None if the text is not a timestamp with an offset.

    Digits beyond the sixth are cut off, towards the past: Java and Go print nine, and no meter needs them.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    fraction = (found["fraction"] or "")[:6].ljust(6, "0")
    local = f"{found['date']}T{found['hour']}:{found['minute'] or '00'}:{found['second'] or '00'}.{fraction}+00:00"
    try:
        timestamp = to_micros(datetime.fromisoformat(local))
    except ValueError:
        return None
    ahead = (int(found["hours"] or 0) * 60 + int(found["minutes"] or 0)) * MINUTE
    return Micros(timestamp + ahead if found["sign"] == "-" else timestamp - ahead)


class _PlainInteger(type):
    """A type whose instances are plain `int`s, because msgspec encodes no subclass of `int`."""

    def __instancecheck__(cls, value: object) -> bool:
        return type(value) is int


class Moment(int, metaclass=_PlainInteger):
    """Microseconds since 1970, from 2000 to 2199; in a request it is ISO 8601 text with an offset."""

    start: Micros = MOMENTS_START
    first_year = FIRST_YEAR

    def __new__(cls, micros: int) -> Self:
        return cast("Self", int(micros))


class EventMoment(Moment):
    """A bound of a query for events or usage, which are as old as 1970."""

    start = Micros(0)
    first_year = 1970


def parse_moment(text: str, kind: type[Moment] = Moment) -> Moment:
    """Raises ValueError, with a message for people, for other texts and for moments outside the range."""
    timestamp = parse_timestamp(text) if len(text) <= _LONGEST else None
    if timestamp is None:
        raise ValueError(f"expected {_FORM}; got {text[:_LONGEST_SHOWN]!r}")
    if not kind.start <= timestamp < MOMENTS_END:
        raise ValueError(f"expected a time from {kind.first_year} to {LAST_YEAR} in UTC; got {text!r}")
    return kind(timestamp)


def read_value(value: Any, kind: Any) -> Any:
    """`value` of a JSON document as `kind`, which may hold moments. Raises msgspec.ValidationError."""
    return msgspec.convert(value, kind, dec_hook=_read_custom)


def read_text(text: Any, kind: Any) -> Any:
    """The same for the text of a query parameter. Takes a space for the '+' that a client did not escape."""
    return msgspec.convert(text, kind, strict=False, dec_hook=_read_custom_text)


def _read_custom(kind: type, value: Any) -> Moment:
    if not issubclass(kind, Moment):
        raise NotImplementedError(kind)  # What msgspec expects of a hook that does not know the type.
    if not isinstance(value, str):
        raise ValueError(f"expected {_FORM}, as text")  # noqa: TRY004 - msgspec shows the place of a ValueError
    return parse_moment(value, kind)


def _read_custom_text(kind: type, value: Any) -> Moment:
    return _read_custom(kind, value.replace(" ", "+") if isinstance(value, str) and "T" in value else value)


def schema_of_moment(kind: type) -> dict[str, Any]:
    """The JSON Schema of a moment, for msgspec's `schema_hook`."""
    if not issubclass(kind, Moment):
        raise NotImplementedError(kind)  # As above.
    return {
        "type": "string",
        "format": "date-time",
        "maxLength": _LONGEST,
        "description": f"ISO 8601 with an offset, from {kind.first_year} to {LAST_YEAR}.",
        "examples": ["2026-11-21T10:30:00Z"],
    }
