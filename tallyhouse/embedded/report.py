"""The worker's reports to the gateway, one JSON line each: progress, health and metric samples."""

from collections import deque
from collections.abc import Sequence

import msgspec

from schemas.flush import PartitionStatus
from schemas.metrics import Counter, Gauge, Histogram, Metrics
from schemas.verification import VerificationStatus

Labels = tuple[str, ...]


class MetricSample(msgspec.Struct, frozen=True, array_like=True):
    """One call of a metric. The metric's name also determines its kind."""

    metric: str
    value: float
    labels: Labels


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the worker's standard output."""

    partitions: Sequence[PartitionStatus]
    """As the worker sees them. The gateway knows the log's end a moment earlier."""
    backfills: str
    is_healthy: bool
    counted: dict[int, int]
    """Partition → its last frame that is counted, and recorded as counted. The gateway may delete frames up to it."""
    verification: VerificationStatus = VerificationStatus()
    log_alarm: str | None = None
    """Why nothing may be accepted: the log lacks frames. None if it is whole."""
    samples: Sequence[MetricSample] = ()
    memory: int = 0
    """Resident memory of the worker, in bytes."""


class BufferedMetrics:
    """`Metrics` that are buffered until the next report."""

    # Called from any thread: every step here is a single operation of the deque, which is atomic.

    def __init__(self) -> None:
        self._samples: deque[MetricSample] = deque()

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None:
        self._samples.append(MetricSample(metric.name, float(amount), labels))

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        self._samples.append(MetricSample(metric.name, float(value), labels))

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        self._samples.append(MetricSample(metric.name, float(value), labels))

    def take(self) -> Sequence[MetricSample]:
        """Removes and returns the samples buffered so far."""
        return [self._samples.popleft() for _ in range(len(self._samples))]


def forward_metrics(samples: Sequence[MetricSample], metrics: Metrics) -> None:
    """Applies the worker's samples to the gateway's metrics, in their order."""
    for sample in samples:
        name, value, labels = sample.metric, sample.value, sample.labels
        if name in Counter.__members__:
            metrics.count(Counter[name], value, *labels)
        elif name in Gauge.__members__:
            metrics.set(Gauge[name], value, *labels)
        else:
            metrics.observe(Histogram[name], value, *labels)
