"""Windows compared with the clock of each time zone, minute by minute."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Invalid
from schemas.usage import Window
from stream_processors.backends.reading.windows import Windows, windows_between

ZONES = (
    "UTC",
    "America/New_York",
    "America/Santiago",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Chatham",
)
MINUTE = 60
DAY = 86_400


def at(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def label(window: Window, zone: ZoneInfo, minute: int) -> object:
    """What the local clock shows that distinguishes one window from the next."""
    local = datetime.fromtimestamp(minute, zone)
    match window:
        case Window.MONTH:
            return local.year, local.month
        case Window.DAY:
            return local.date()
        case Window.HOUR:
            return local.date(), local.hour, local.utcoffset()
        case Window.MINUTE:
            return minute
        case Window.NONE:
            return None


def lengths(windows: Windows) -> list[int]:
    """The hours of each window, in order."""
    found = []
    start = windows.start
    while start < windows.end:
        end = windows.end_of(start)
        found.append((end - start) // 3600)
        start = end
    return found


# Near the days on which the clocks of these zones change, and any other time.
moments = st.one_of(
    st.sampled_from([at(f"2025-{month:02}-{day:02}", "UTC") for month in (3, 4, 9, 10, 11) for day in (2, 6, 26, 30)]),
    st.integers(0, 2_000_000_000),
)


@given(
    window=st.sampled_from(Window),
    zone=st.sampled_from(ZONES),
    middle=moments,
    minutes=st.integers(1, 4 * 24 * 60),
    step=st.integers(1, 7),
)
def test_a_window_changes_when_the_local_clock_changes_its_label(
    window: Window, zone: str, middle: int, minutes: int, step: int
) -> None:
    """Two minutes are in one window exactly if the local clock gives them the same label."""
    start = middle // MINUTE * MINUTE
    end = start + minutes * MINUTE
    windows = windows_between(window, zone, start, end)
    clock = ZoneInfo(zone)
    previous = start
    for minute in range(start, end, step * MINUTE):
        begins, ends = windows.start_of(minute), windows.end_of(windows.start_of(minute))
        assert start <= begins <= minute < ends <= end
        same = label(window, clock, previous) == label(window, clock, minute)
        assert (windows.start_of(previous) == begins) == same
        previous = minute


def test_days_have_23_or_25_hours_where_the_clock_changes() -> None:
    """23 hours in spring and 25 in autumn; in Santiago the change is at midnight itself."""
    spring = at("2026-03-07", "America/New_York")
    assert lengths(windows_between(Window.DAY, "America/New_York", spring, spring + 71 * 3600)) == [24, 23, 24]
    autumn = at("2026-10-31", "America/New_York")
    assert lengths(windows_between(Window.DAY, "America/New_York", autumn, autumn + 73 * 3600)) == [24, 25, 24]
    start, end = at("2026-09-05", "America/Santiago"), at("2026-09-08", "America/Santiago")
    assert lengths(windows_between(Window.DAY, "America/Santiago", start, end)) == [24, 23, 24]


def test_the_first_and_the_last_window_are_clipped_to_the_range() -> None:
    """Minutes outside the range are not counted, and the windows do not include them."""
    start, end = at("2026-01-15T10:00", "Asia/Kathmandu"), at("2026-03-02T07:00", "Asia/Kathmandu")
    windows = windows_between(Window.MONTH, "Asia/Kathmandu", start, end)
    assert windows.edges == (start, at("2026-02-01", "Asia/Kathmandu"), at("2026-03-01", "Asia/Kathmandu"))
    assert windows.end_of(windows.edges[-1]) == end


def test_hours_of_a_zone_off_by_minutes_start_when_its_clock_shows_them() -> None:
    """In Kathmandu the hour starts at a quarter past in UTC."""
    start = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp())
    windows = windows_between(Window.HOUR, "Asia/Kathmandu", start, start + DAY)
    assert windows.start_of(start + 20 * MINUTE) == start + 15 * MINUTE


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "a\0b", "x" * 5000])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(Invalid, match=r"^timezone: ") as refused:
        windows_between(Window.DAY, zone, 0, DAY)
    assert refused.value.field == "timezone"


def test_too_many_uneven_windows_are_refused() -> None:
    """The number of edges is limited."""
    with pytest.raises(Invalid, match="shorter range"):
        windows_between(Window.HOUR, "Australia/Lord_Howe", 1_600_000_020, 1_600_000_020 + 4 * 366 * DAY)
