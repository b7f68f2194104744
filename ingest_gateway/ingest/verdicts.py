"""Turns a judged group into the outcome of each request, and counts verdicts in the metrics."""

from collections import Counter as Count
from collections.abc import Iterator, Sequence

from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch
from ingest_gateway.ingest.event_formats import CLOUDEVENTS_FORMAT, NATIVE, EventFormat
from ingest_gateway.ingest.event_group import EventGroup
from ingest_gateway.ingest.judge import AgeLimits, Mark, Marks, counts
from schemas.event import RejectCode, Rejection, Verdict
from schemas.metrics import Counter, Histogram, Metrics
from schemas.timestamps import SECOND, to_iso

_REJECTED = (Mark.CONFLICT, Mark.OLD, Mark.AHEAD)


def outcomes(group: EventGroup, marks: Marks, age_limits: AgeLimits) -> Iterator[BatchOutcome | Exception]:
    """The outcome of each request, in order. A fault in making one is in its place, and reaches no other request."""
    for (posted, start, end), count in zip(group.rows(), counts(group, marks), strict=True):
        try:
            rejections = posted.rejections
            if any(count[mark] for mark in _REJECTED):
                found = _rejections(group, posted, start, marks[start:end].tolist(), age_limits)
                rejections = tuple(sorted((*rejections, *found), key=lambda rejection: rejection.index))
            outcome: BatchOutcome | Exception = BatchOutcome(
                accepted=count[Mark.FRESH],
                duplicates=count[Mark.DUPLICATE],
                rejections=rejections,
                held_back=count[Mark.HELD_BACK],
            )
        except Exception as fault:
            outcome = fault
        yield outcome


def refused_outright(posted: PostedBatch) -> BatchOutcome:
    """The outcome of a request that stores nothing: without a valid event, or strict with a rejected one."""
    return BatchOutcome(accepted=0, duplicates=0, rejections=posted.rejections, held_back=len(posted.valid))


def _rejections(
    group: EventGroup, posted: PostedBatch, start: int, marks: Sequence[int], age_limits: AgeLimits
) -> Iterator[Rejection]:
    event_format = CLOUDEVENTS_FORMAT if posted.body_format.is_cloudevent else NATIVE
    for row, mark in enumerate(marks):
        if mark in _REJECTED:
            code, field, message = _reject_message(
                Mark(mark), int(group.timestamps[start + row]), group.arrival, age_limits, event_format
            )
            yield Rejection(
                index=posted.valid.indexes[row],
                idempotency_key=posted.valid.idempotency_keys[row],
                code=code,
                field=field,
                message=message,
            )


def _reject_message(
    mark: Mark, timestamp: int, arrival: int, age_limits: AgeLimits, event_format: EventFormat
) -> tuple[RejectCode, str, str]:
    match mark:
        case Mark.OLD:
            message = (
                f"{to_iso(timestamp)} is before {to_iso(arrival - age_limits.oldest)}, the oldest time taken now; "
                "older events need a key with the backfill scope"
            )
            return RejectCode.TIMESTAMP_OLD, event_format.timestamp, message
        case Mark.AHEAD:
            message = (
                f"{to_iso(timestamp)} is more than {age_limits.furthest_ahead // SECOND} seconds after "
                f"{to_iso(arrival)}, the time here; set the sender's clock"
            )
            return RejectCode.TIMESTAMP_AHEAD, event_format.timestamp, message
        case _:
            message = (
                "this key came before with another body, which stays as it is; "
                "give every event its own key, and repeat a key only with the same body"
            )
            return RejectCode.CONFLICT, event_format.idempotency_key, message


def count_posted(metrics: Metrics, posted: PostedBatch) -> None:
    """Counts a received request."""
    metrics.count(Counter.BODY_BYTES, posted.size)
    metrics.observe(Histogram.BATCH_EVENTS, posted.events)


def count_outcomes(metrics: Metrics, outcomes: Sequence[BatchOutcome]) -> None:
    """Counts the verdicts of the given requests."""
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
    """Observes a group that became durable. The log counts its own frames and bytes."""
    metrics.observe(Histogram.GROUP_EVENTS, events)
    metrics.observe(Histogram.GROUP_SECONDS, seconds)
