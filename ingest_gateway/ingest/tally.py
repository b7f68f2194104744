"""The intake's numbers: what was posted, what became of it, how large the groups are."""

from collections import Counter as Count
from collections.abc import Sequence

from ingest_gateway.ingest.batch import PostedBatch
from ingest_gateway.ingest.outcome import BatchOutcome
from schemas.event import RejectCode, Verdict
from schemas.metrics import Counter, Histogram, Metrics


def count_posted(metrics: Metrics, posted: PostedBatch) -> None:
    """A request that came in."""
    metrics.count(Counter.BODY_BYTES, posted.size)
    metrics.observe(Histogram.BATCH_EVENTS, posted.events)


def count_outcomes(metrics: Metrics, outcomes: Sequence[BatchOutcome]) -> None:
    """What became of the events of some requests."""
    codes = Count(rejection.code for outcome in outcomes for rejection in outcome.rejections)
    conflicts = codes.pop(RejectCode.CONFLICT, 0)
    for verdict, events in (
        (Verdict.ACCEPTED, sum(outcome.accepted for outcome in outcomes)),
        (Verdict.DUPLICATE, sum(outcome.duplicates for outcome in outcomes)),
        (Verdict.CONFLICT, conflicts),
        (Verdict.INVALID, codes.total()),
    ):
        if events:
            metrics.count(Counter.EVENTS, events, verdict)
    for code, events in codes.items():
        metrics.count(Counter.INVALID, events, code)


def count_group(metrics: Metrics, events: int, seconds: float) -> None:
    """A group that became durable. Its frames and bytes are the log's to count: others append to it too."""
    metrics.observe(Histogram.GROUP_EVENTS, events)
    metrics.observe(Histogram.GROUP_SECONDS, seconds)
