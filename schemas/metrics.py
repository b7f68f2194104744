"""The catalogue of metrics, with name, labels and meaning. A metric outside of it does not type-check."""

from enum import Enum
from typing import NamedTuple, Protocol


class MetricSpec(NamedTuple):
    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0)


class Counter(Enum):
    """Numbers that only grow."""

    REQUESTS = MetricSpec("http_requests_total", "HTTP requests answered", ("route", "method", "status"))
    EVENTS = MetricSpec("ingest_events_total", "Events posted, by the verdict of the gateway", ("verdict",))
    INVALID = MetricSpec("ingest_invalid_total", "Events refused by the gateway, by reason", ("code",))
    UNCHECKED = MetricSpec(
        "ingest_unchecked_total",
        "Events given a verdict without a lookup among all counted keys: it failed, timed out or ends at the window",
        ("reason",),
    )
    BUSY = MetricSpec("ingest_busy_total", "Requests answered 503 because the log or memory was full", ("reason",))
    BODY_BYTES = MetricSpec("ingest_body_bytes_total", "Bytes of event bodies read, after decompression")
    FRAMES = MetricSpec("log_frames_total", "Frames made durable in the log")
    FRAME_BYTES = MetricSpec("log_frame_bytes_total", "Bytes of frames made durable in the log")
    FLUSHES = MetricSpec("flush_total", "Flushes done", ("partition",))
    COUNTED = MetricSpec("flush_events_total", "Events the processor decided on", ("outcome",))
    REJECTS = MetricSpec("rejects_total", "Rejects stored, by reason", ("code",))
    BOOTS = MetricSpec("partition_boots_total", "Times a partition was booted from the store", ("partition",))
    EXPIRED_MONTHS = MetricSpec(
        "seen_months_dropped_total", "Months of seen keys dropped because no later frame can meet them"
    )
    FOREIGN_RECORDS = MetricSpec(
        "log_foreign_records_total", "Records in the log that are no frames of a gateway, by reason", ("reason",)
    )
    STORE_RETRIES = MetricSpec("store_retries_total", "Steps repeated because the store failed", ("step",))


class Gauge(Enum):
    """Numbers that rise and fall."""

    PENDING_BYTES = MetricSpec("ingest_pending_bytes", "Bytes of accepted bodies that are not yet answered")
    LAG_FRAMES = MetricSpec("partition_lag_frames", "Frames in the log that are not yet counted", ("partition",))
    LAG_SECONDS = MetricSpec("partition_lag_seconds", "Age of the oldest frame not yet counted", ("partition",))
    WATERMARK = MetricSpec("partition_watermark", "Number of the last flush done", ("partition",))
    STUCK = MetricSpec("partition_stuck", "1 while a flush fails again and again (the status says why)", ("partition",))
    BACKFILL_STUCK = MetricSpec(
        "backfill_stuck", "1 while the backfill of a meter fails again and again, or has stopped (the status says why)"
    )
    STOPPED = MetricSpec("partition_stopped", "1 after an alarm, until a start (the status says why)", ("partition",))
    OWNED = MetricSpec(
        "partition_owned", "1 while this worker has the partition, of those its group shares", ("partition",)
    )
    FILTER_KEYS = MetricSpec("filter_keys", "Keys in the partition's filter", ("partition",))
    CLOCK_BEHIND = MetricSpec(
        "clock_behind_seconds", "How far the clock is behind the newest arrival; 0 where it is right"
    )
    SHARED_KEYS_DOWN = MetricSpec(
        "shared_keys_down", "1 while Redis does not answer: each gateway knows only its own keys"
    )
    VERIFIED_UNTIL = MetricSpec(
        "usage_verified_until_seconds",
        "Usage equals the events that arrived up to this Unix time; 0 before it is known",
    )
    USAGE_DIFFERENCES = MetricSpec(
        "usage_differences", "Rows of usage that differ from their events (the status says more); it must be 0"
    )
    MEMORY = MetricSpec("process_memory_bytes", "Resident memory of this process")
    WORKER_MEMORY = MetricSpec("worker_memory_bytes", "Resident memory of the worker process")


class Histogram(Enum):
    """Distributions."""

    REQUEST_SECONDS = MetricSpec("http_request_seconds", "Time to answer", ("route",), _SECONDS)
    BATCH_EVENTS = MetricSpec("ingest_batch_events", "Events per request", (), _SIZES)
    GROUP_EVENTS = MetricSpec("ingest_group_events", "Events made durable together by the intake", (), _SIZES)
    GROUP_SECONDS = MetricSpec(
        "ingest_group_seconds", "From a group's events judged to all of them durable", (), _SECONDS
    )
    COMMIT_SECONDS = MetricSpec("log_commit_seconds", "The log's own write: one commit, one fsync", (), _SECONDS)
    FLUSH_EVENTS = MetricSpec("flush_size_events", "Events per flush", (), _SIZES)
    FLUSH_SECONDS = MetricSpec("flush_seconds", "Time per stage of a flush", ("stage",), _SECONDS)
    VISIBLE_SECONDS = MetricSpec("visible_seconds", "From arrival to counted, oldest frame of each flush", (), _SECONDS)


class Metrics(Protocol):
    """The metrics port. Labels are given by value, in the order of the catalogue."""

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None: ...

    def set(self, metric: Gauge, value: float, *labels: str) -> None: ...

    def observe(self, metric: Histogram, value: float, *labels: str) -> None: ...


class NullMetrics:
    """Drops every number."""

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None:
        pass

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        pass

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        pass
