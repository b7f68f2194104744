"""The metrics catalogue over prometheus-client, in a registry of its own."""

from pathlib import Path
from typing import Any

import prometheus_client as prometheus

from schemas.metrics import Counter, Gauge, Histogram

PREFIX = "tallyhouse_"
CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST

_PAGE_BYTES = 4096
_STATM = Path("/proc/self/statm")


class PrometheusMetrics:
    """The `Metrics` port. Every metric exists from the start, so that dashboards find its name."""

    def __init__(self) -> None:
        self._registry = prometheus.CollectorRegistry(auto_describe=False)
        self._children: dict[Any, Any] = {}
        self._families: dict[Counter | Gauge | Histogram, Any] = {
            metric: self._family(metric) for kind in (Counter, Gauge, Histogram) for metric in kind
        }
        self._families[Gauge.MEMORY].set_function(resident_bytes)

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None:
        self._child(metric, labels).inc(amount)

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        self._child(metric, labels).set(value)

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        self._child(metric, labels).observe(value)

    def render(self) -> bytes:
        """Returns the text of `/metrics`."""
        return prometheus.generate_latest(self._registry)

    def _child(self, metric: Counter | Gauge | Histogram, labels: tuple[str, ...]) -> Any:
        child = self._children.get((metric, labels))
        if child is None:
            family = self._families[metric]
            child = self._children[metric, labels] = family.labels(*labels) if labels else family
        return child

    def _family(self, metric: Counter | Gauge | Histogram) -> Any:
        name, meaning, labels, buckets = metric.value
        match metric:
            case Counter():
                return prometheus.Counter(PREFIX + name, meaning, labels, registry=self._registry)
            case Gauge():
                return prometheus.Gauge(PREFIX + name, meaning, labels, registry=self._registry)
            case Histogram():
                return prometheus.Histogram(PREFIX + name, meaning, labels, buckets=buckets, registry=self._registry)


def resident_bytes() -> int:
    """Returns the resident memory of this process, in bytes; 0 on a system without /proc."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
