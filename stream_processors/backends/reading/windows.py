"""Windows of local time: which minutes belong together, in any time zone, through every change of its clock.

A window starts at the instant when the local clock first shows its hour, date or month, and ends where the next one
starts. So a day on which the clock changes has 23 or 25 hours, an hour that the clock shows twice is two windows, and
a clock that moves by half an hour cuts the interrupted hour in two. Edges lie on whole minutes, as usage does. All
times here are seconds since 1970.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from schemas.errors import Invalid
from schemas.timezones import check_time_zone
from schemas.usage import Window

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400
_MOST_EDGES = 20_000
"""Of windows that are listed one by one, because their lengths differ."""

_BOUNDS = {
    Window.MINUTE: (_MINUTE, 600_000),  # more than the minutes of a year
    Window.HOUR: (_HOUR, 100_000),  # more than the hours of eleven years
    Window.DAY: (_DAY, _MOST_EDGES),
    Window.MONTH: (28 * _DAY, _MOST_EDGES),
}
"""The length of a window, and how many a range may have: the work for a query follows their number."""


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """The windows of a half-open range: a constant step, or a list of edges if steps differ."""

    start: int
    end: int
    step: int = 0
    shift: int = 0
    """Seconds added to a time before it is rounded down to a step."""
    edges: tuple[int, ...] = ()
    """The start of each window; the first one is `start`."""

    def start_of(self, minute: int) -> int:
        """The start of the window that `minute` is in, clipped to the range."""
        if self.edges:
            return self.edges[bisect_right(self.edges, minute) - 1]
        return max(self.start, minute - (minute + self.shift) % self.step)

    def end_of(self, start: int) -> int:
        """The end of the window that starts at `start`, clipped to the range."""
        if self.edges:
            after = bisect_right(self.edges, start)
            return self.edges[after] if after < len(self.edges) else self.end
        return min(self.end, start - (start + self.shift) % self.step + self.step)


def windows_between(window: Window, timezone: str, start: int, end: int) -> Windows:
    """The windows of [start, end). Raises Invalid for an unknown time zone or too many windows.

    Looks at the clock of the zone once for each day of the range of hours, and for each day or month.
    """
    zone = check_time_zone(timezone, "timezone")
    _check_range(window, start, end)
    match window:
        case Window.NONE:
            return Windows(start=start, end=end, edges=(start,))
        case Window.MINUTE:
            return Windows(start=start, end=end, step=_MINUTE)
        case Window.HOUR:
            return _hours(zone, start, end)
        case Window.DAY:
            return _dates(zone, start, end, _next_day)
        case Window.MONTH:
            return _dates(zone, start, end, _next_month)


def _check_range(window: Window, start: int, end: int) -> None:
    """Raises Invalid before anything is calculated."""
    if window is Window.NONE:
        return
    length, most = _BOUNDS[window]
    windows = -(-(end - start) // length)
    if windows > most:
        longest = most * length // _DAY
        raise Invalid(
            f"window: the range has about {windows} windows of one {window.value}, and a query may have {most}: ask "
            f"for a range of {longest} days or less, or for a longer window",
            field="window",
        )


def _hours(zone: ZoneInfo, start: int, end: int) -> Windows:
    runs = list(_constant_runs(zone, start, end))
    shifts = {shift for _, _, shift in runs}
    if len(shifts) == 1:
        return Windows(start=start, end=end, step=_HOUR, shift=shifts.pop())
    edges: list[int] = []
    for since, until, shift in runs:
        edges.append(since)
        edges.extend(range(since - (since + shift) % _HOUR + _HOUR, until, _HOUR))
        _check_count(edges)
    return Windows(start=start, end=end, edges=tuple(edges))


def _constant_runs(zone: ZoneInfo, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Ranges (since, until, shift) in which full hours fall on the same minute of a UTC hour."""
    since, shift = start, _shift(zone, start)
    if zone.utcoffset(None) is not None:  # the zone's clock never changes
        yield since, end, shift
        return
    for probe in range(start + _DAY, end + _DAY, _DAY):
        until = min(probe, end - _MINUTE)
        if until > since and _shift(zone, until) != shift:
            change = _first_change(zone, max(since, until - _DAY), until, shift)
            yield since, change, shift
            since, shift = change, _shift(zone, change)
    yield since, end, shift


def _first_change(zone: ZoneInfo, low: int, high: int, shift: int) -> int:
    """The first minute in (low, high] whose shift differs; the shift of `high` does."""
    while high - low > _MINUTE:
        middle = low + (high - low) // (2 * _MINUTE) * _MINUTE
        low, high = (middle, high) if _shift(zone, middle) == shift else (low, middle)
    return high


def _shift(zone: ZoneInfo, at: int) -> int:
    """How many seconds the zone's full hours precede those of UTC, in whole minutes."""
    offset = datetime.fromtimestamp(at, zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) // _MINUTE * _MINUTE % _HOUR


def _dates(zone: ZoneInfo, start: int, end: int, following: Callable[[date], date]) -> Windows:
    edges = [start]
    first = following(datetime.fromtimestamp(start, zone).date())
    while (edge := _first_instant(zone, first)) < end:
        if edge > edges[-1]:
            edges.append(edge)
            _check_count(edges)
        first = following(first)
    return Windows(start=start, end=end, edges=tuple(edges))


def _next_day(day: date) -> date:
    return day + timedelta(days=1)


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _first_instant(zone: ZoneInfo, day: date) -> int:
    """The start of `day`: midnight, or the instant after the jump where the clock skips midnight."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(midnight.astimezone(UTC).timestamp()) // _MINUTE * _MINUTE


def _check_count(edges: list[int]) -> None:
    if len(edges) > _MOST_EDGES:
        raise Invalid(
            f"window: more than {_MOST_EDGES} windows of uneven length; ask for a shorter range or a longer window",
            field="window",
        )
