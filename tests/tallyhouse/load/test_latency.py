"""The latency histogram: percentiles with a bounded error, in constant memory."""

from hypothesis import given
from hypothesis import strategies as st

from tallyhouse.load.latency import Latencies


@given(st.lists(st.floats(1e-5, 1000), min_size=1, max_size=200), st.integers(1, 100))
def test_a_percentile_is_at_most_two_percent_high(seconds: list[float], percent: int) -> None:
    """And never too low."""
    latencies = Latencies()
    for value in seconds:
        latencies.add(value)
    exact = sorted(seconds)[-(-len(seconds) * percent // 100) - 1]
    assert exact * 0.999 <= latencies.percentile(percent) <= exact * 1.021


def test_a_percentile_without_samples_is_zero() -> None:
    assert Latencies().percentile(99) == 0.0


def test_the_first_and_the_last_bucket_are_open() -> None:
    latencies = Latencies()
    latencies.add(0.0)
    latencies.add(1e9)
    assert len(latencies) == 2
