"""Percentiles of a histogram that never grows."""

from hypothesis import given
from hypothesis import strategies as st

from tallyhouse.load.latency import Latencies


@given(st.lists(st.floats(1e-5, 1000), min_size=1, max_size=200), st.integers(1, 100))
def test_a_percentile_is_at_most_two_percent_high(seconds: list[float], percent: int) -> None:
    """Never too low: a promise kept on paper must be kept in fact."""
    latencies = Latencies()
    for value in seconds:
        latencies.add(value)
    exact = sorted(seconds)[-(-len(seconds) * percent // 100) - 1]
    assert exact * 0.999 <= latencies.percentile(percent) <= exact * 1.021


def test_nothing_measured_is_zero() -> None:
    """A display that has just begun shows 0, not an error."""
    assert Latencies().percentile(99) == 0.0


def test_hours_and_nanoseconds_have_a_place() -> None:
    """The ends are open."""
    latencies = Latencies()
    latencies.add(0.0)
    latencies.add(1e9)
    assert len(latencies) == 2
