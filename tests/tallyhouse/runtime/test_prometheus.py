"""The metrics page shows exactly the catalogue of metrics."""

from schemas.metrics import Counter, Gauge, Histogram
from tallyhouse.runtime.prometheus import PREFIX, PrometheusMetrics


def sample(metrics: PrometheusMetrics, name: str) -> str:
    found = [line for line in metrics.render().decode().splitlines() if line.startswith(f"{PREFIX}{name} ")]
    assert len(found) == 1, f"{name}: {found}"
    return found[0].rsplit(" ", 1)[1]


def test_every_metric_exists_from_the_start() -> None:
    """A dashboard finds each name before the first event."""
    text = PrometheusMetrics().render().decode()
    names = [metric.value.name.removesuffix("_total") for kind in (Counter, Gauge, Histogram) for metric in kind]
    assert [name for name in names if f"# HELP {PREFIX}{name}" not in text] == []


def test_counters_add_gauges_replace_and_histograms_collect() -> None:
    metrics = PrometheusMetrics()
    metrics.count(Counter.EVENTS, 3, "accepted")
    metrics.count(Counter.EVENTS, 4, "accepted")
    metrics.set(Gauge.PENDING_BYTES, 10)
    metrics.set(Gauge.PENDING_BYTES, 5)
    metrics.observe(Histogram.BATCH_EVENTS, 100)
    assert sample(metrics, 'ingest_events_total{verdict="accepted"}') == "7.0"
    assert sample(metrics, "ingest_pending_bytes") == "5.0"
    assert sample(metrics, "ingest_batch_events_sum") == "100.0"


def test_memory_is_read_at_each_rendering() -> None:
    assert float(sample(PrometheusMetrics(), "process_memory_bytes")) > 10**6


def test_two_registries_do_not_mix() -> None:
    """Nothing is registered globally."""
    one, other = PrometheusMetrics(), PrometheusMetrics()
    one.count(Counter.FRAMES)
    assert (sample(one, "log_frames_total"), sample(other, "log_frames_total")) == ("1.0", "0.0")
