"""The bench's own arithmetic; its runs are for `make bench`."""

from tests.bench.figures import Figure
from tests.bench.whole import stages


def test_a_figure_knows_whether_it_is_good() -> None:
    """More is better for rates, less for latencies and memory."""
    assert Figure(name="rate", value=2, unit="/s", target=1).reached
    assert not Figure(name="memory", value=2, unit="GB", target=1, less_is_better=True).reached
    assert "MISSED (≤ 1)" in Figure(name="memory", value=2, unit="GB", target=1, less_is_better=True).line()


def test_stages_are_read_from_the_metrics() -> None:
    """Whatever has a sum of seconds."""
    text = 'tallyhouse_flush_seconds_sum{stage="plan"} 1.5\ntallyhouse_flush_seconds_count{stage="plan"} 3.0\n'
    assert stages(text) == {'flush_seconds_sum{stage="plan"}': 1.5}
