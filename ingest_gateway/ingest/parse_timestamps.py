"""Parses posted timestamps, ISO 8601 with an offset, to the microsecond.

Digits beyond the sixth are cut off, towards the past: Java and Go print nine, and no meter needs them.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from schemas.timestamps import LAST_YEAR, MINUTE, to_micros

END_OF_TIME = to_micros(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))
"""The first moment that no event may have."""

_MANY = 16
"""From this many texts on, Arrow's vectorised parser is faster."""

_TIMESTAMP = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ]"
    r"(?P<hour>\d{2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?)?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<hours>[01]\d|2[0-3])(?::?(?P<minutes>[0-5]\d))?)",
    re.ASCII,
)


def parse_timestamps(texts: Sequence[str]) -> list[int] | None:
    """Microseconds since 1970 for each text; None if any text is not a timestamp with an offset."""
    if len(texts) < _MANY:
        return _one_by_one(texts)
    try:
        timestamps = pa.array(texts, pa.string()).cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return _one_by_one(texts)
    read: list[int] = timestamps.cast(pa.int64()).to_numpy().tolist()
    return read


def _one_by_one(texts: Sequence[str]) -> list[int] | None:
    read = [parse_timestamp(text) for text in texts]
    timestamps = [timestamp for timestamp in read if timestamp is not None]
    return timestamps if len(timestamps) == len(read) else None


def parse_timestamp(text: str) -> int | None:
    """Microseconds since 1970; None if the text is not a timestamp with an offset."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    fraction = (found["fraction"] or "")[:6].ljust(6, "0")
    local = f"{found['date']}T{found['hour']}:{found['minute'] or '00'}:{found['second'] or '00'}.{fraction}+00:00"
    try:
        timestamp = to_micros(datetime.fromisoformat(local))
    except ValueError:
        return None
    ahead = (int(found["hours"] or 0) * 60 + int(found["minutes"] or 0)) * MINUTE
    return timestamp + ahead if found["sign"] == "-" else timestamp - ahead
