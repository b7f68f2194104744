"""The worker's numbers become the gateway's."""

import msgspec

from schemas.metrics import Counter, Gauge, Histogram
from tallyhouse.embedded.report import BufferedMetrics, Report, forward_metrics
from tallyhouse.runtime.prometheus import PrometheusMetrics


def test_numbers_arrive_over_the_line_as_they_were_told() -> None:
    """Counters add up, the last word on a gauge stands, every observation counts; nothing is told twice."""
    samples, metrics = BufferedMetrics(), PrometheusMetrics()
    for report_number in range(2):
        samples.count(Counter.FLUSHES, 2, "0")
        samples.set(Gauge.STUCK, not report_number, "0")
        samples.observe(Histogram.FLUSH_EVENTS, 30)
        report = Report(partitions=[], backfills="", is_healthy=True, counted={0: 7}, samples=samples.take())
        heard = msgspec.json.decode(msgspec.json.encode(report), type=Report)
        assert heard == report
        forward_metrics(heard.samples, metrics)
    assert samples.take() == []
    lines = metrics.render().decode().splitlines()
    assert 'tallyhouse_flush_total{partition="0"} 4.0' in lines
    assert 'tallyhouse_partition_stuck{partition="0"} 0.0' in lines
    assert "tallyhouse_flush_size_events_sum 60.0" in lines


def test_every_metric_can_be_told() -> None:
    """By its name alone: no two kinds have one in common."""
    names = [metric.name for kind in (Counter, Gauge, Histogram) for metric in kind]
    assert len(names) == len(set(names))
