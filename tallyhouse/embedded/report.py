"""What the worker tells the gateway, line by line: how far it has counted, how it does, and its numbers."""

from collections import deque
from collections.abc import Sequence

import msgspec

from schemas.flush import PartitionStatus
from schemas.metrics import Counter, Gauge, Histogram, Metrics

Labels = tuple[str, ...]


class MetricSample(msgspec.Struct, frozen=True, array_like=True):
    """One call of a metric, or several made one. The metric's own name says of which kind it is."""

    metric: str
    value: float
    labels: Labels


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    partitions: Sequence[PartitionStatus]
    """As the worker sees them: of the log's end it hears a moment later than the gateway."""
    backfills: str
    is_healthy: bool
    counted: dict[int, int]
    """For each partition up to which frame: the gateway may delete these."""
    samples: Sequence[MetricSample] = ()
    memory: int = 0


class BufferedMetrics:
    """`Metrics` that are kept until they are told. From any thread: each step here is one that no other divides."""

    def __init__(self) -> None:
        self._samples: deque[MetricSample] = deque()

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None:
        """It grew by `amount`."""
        self._samples.append(MetricSample(metric.name, float(amount), labels))

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        """It is `value` now."""
        self._samples.append(MetricSample(metric.name, float(value), labels))

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        """It was `value` this time."""
        self._samples.append(MetricSample(metric.name, float(value), labels))

    def take(self) -> Sequence[MetricSample]:
        """Those since the last time."""
        return [self._samples.popleft() for _ in range(len(self._samples))]


def forward_metrics(samples: Sequence[MetricSample], metrics: Metrics) -> None:
    """Those of the worker become the gateway's, in their order."""
    for sample in samples:
        name, value, labels = sample.metric, sample.value, sample.labels
        if name in Counter.__members__:
            metrics.count(Counter[name], value, *labels)
        elif name in Gauge.__members__:
            metrics.set(Gauge[name], value, *labels)
        else:
            metrics.observe(Histogram[name], value, *labels)
