"""The worker's metrics appear on the gateway's page."""

import msgspec

from schemas.metrics import Counter, Gauge, Histogram
from tallyhouse.embedded.report import BufferedMetrics, Report, forward_metrics
from tallyhouse.runtime.prometheus import PrometheusMetrics


def test_samples_arrive_once_and_in_order() -> None:
    """Counters add up, the last value of a gauge stays, every observation counts; no sample is sent twice."""
    samples, metrics = BufferedMetrics(), PrometheusMetrics()
    for report_number in range(2):
        samples.count(Counter.FLUSHES, 2, "0")
        samples.set(Gauge.STUCK, not report_number, "0")
        samples.observe(Histogram.FLUSH_EVENTS, 30)
        report = Report(partitions=[], backfills="", is_healthy=True, counted={0: 7}, samples=samples.take())
        received = msgspec.json.decode(msgspec.json.encode(report), type=Report)
        assert received == report
        forward_metrics(received.samples, metrics)
    assert samples.take() == []
    lines = metrics.render().decode().splitlines()
    assert 'tallyhouse_flush_total{partition="0"} 4.0' in lines
    assert 'tallyhouse_partition_stuck{partition="0"} 0.0' in lines
    assert "tallyhouse_flush_size_events_sum 60.0" in lines


def test_the_names_of_metrics_are_unique() -> None:
    """A sample carries the name alone, without the kind."""
    names = [metric.name for kind in (Counter, Gauge, Histogram) for metric in kind]
    assert len(names) == len(set(names))
