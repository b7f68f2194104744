"""The outcome of each request of a group, from the marks of its rows."""

from collections.abc import Iterator, Sequence

from ingest_gateway.ingest.batch import Posted
from ingest_gateway.ingest.event_formats import CLOUD, OWN, Shape
from ingest_gateway.ingest.event_group import Group
from ingest_gateway.ingest.judge import Ages, Mark, Marks, counts
from ingest_gateway.ingest.outcome import Outcome
from schemas.event import RejectCode, Rejection
from schemas.timestamps import SECOND, to_iso

_BAD = (Mark.CONFLICT, Mark.OLD, Mark.AHEAD)


def outcomes(group: Group, marks: Marks, ages: Ages) -> Iterator[Outcome]:
    """One for each request, in order."""
    for (posted, start, end), count in zip(group.rows(), counts(group, marks), strict=True):
        rejections = posted.rejections
        if any(count[mark] for mark in _BAD):
            found = _rejections(group, posted, start, marks[start:end].tolist(), ages)
            rejections = tuple(sorted((*rejections, *found), key=lambda rejection: rejection.index))
        yield Outcome(
            accepted=count[Mark.FRESH],
            duplicates=count[Mark.DUPLICATE],
            rejections=rejections,
            held_back=count[Mark.HELD_BACK],
        )


def refused_unread(posted: Posted) -> Outcome:
    """Of a request of which nothing can be stored, whatever is known: no good event, or strict with a bad one."""
    return Outcome(accepted=0, duplicates=0, rejections=posted.rejections, held_back=len(posted.good))


def _rejections(group: Group, posted: Posted, start: int, marks: Sequence[int], ages: Ages) -> Iterator[Rejection]:
    shape = CLOUD if posted.form.is_cloudevent else OWN
    for row, mark in enumerate(marks):
        if mark in _BAD:
            code, field, message = _words(Mark(mark), int(group.timestamps[start + row]), group.arrival, ages, shape)
            yield Rejection(
                index=posted.good.indexes[row],
                idempotency_key=posted.good.idempotency_keys[row],
                code=code,
                field=field,
                message=message,
            )


def _words(mark: Mark, timestamp: int, arrival: int, ages: Ages, shape: Shape) -> tuple[RejectCode, str, str]:
    match mark:
        case Mark.OLD:
            message = (
                f"{to_iso(timestamp)} is before {to_iso(arrival - ages.oldest)}, the oldest time taken now; "
                "older events need a key with the backfill scope"
            )
            return RejectCode.TIMESTAMP_OLD, shape.timestamp, message
        case Mark.AHEAD:
            message = (
                f"{to_iso(timestamp)} is more than {ages.furthest_ahead // SECOND} seconds after {to_iso(arrival)}, "
                "the time here; set the sender's clock"
            )
            return RejectCode.TIMESTAMP_AHEAD, shape.timestamp, message
        case _:
            message = (
                "this key came before with another body, which stays as it is; "
                "give every event its own key, and repeat a key only with the same body"
            )
            return RejectCode.CONFLICT, shape.idempotency_key, message
