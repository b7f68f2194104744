"""The two ingestion endpoints: every event gets a verdict, and accepted events are durable before the response."""

from typing import Any

from ingest_gateway.api.ingest_body import BodyParser
from ingest_gateway.api.ingest_documents import (
    BatchReply,
    CloudEvent,
    CloudEvents,
    Event,
    EventBatch,
    IngestParameters,
    Lines,
    SingleReply,
    rejection_document,
)
from ingest_gateway.api.throughput import Throughput
from ingest_gateway.http.envelope import Response
from ingest_gateway.http.memory_budget import MemoryShare
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.ingest.batch import BatchOutcome, PostedBatch, usage_id
from ingest_gateway.ingest.fan_out import BatchIntake
from schemas.account import Scope
from schemas.errors import Conflict, Invalid, Refused
from schemas.event import RejectCode, Verdict

INGEST = "/v1/events/ingest"
CLOUDEVENTS = "/api/v1/events"

_DURABLE = (
    "Accepted events are durable before the response. Events need no Idempotency-Key header, because each has a key of "
    "its own: after any failure, post them again; known events are answered as duplicates and count once."
)
_OTHER_FORMS: dict[str, Any] = {
    "application/cloudevents+json": CloudEvent,
    "application/cloudevents-batch+json": CloudEvents,
}


class IngestRoutes:
    """The two ingestion endpoints: the contract's, and the path that OpenMeter's clients use."""

    def __init__(self, intake: BatchIntake, throughput: Throughput, body_bytes: int) -> None:
        self._intake = intake
        self._throughput = throughput
        self._bodies = BodyParser(body_bytes)

    def routes(self) -> list[Route]:
        ingests = Description(
            "Post events",
            body_type=(EventBatch, Event, CloudEvent, CloudEvents),
            query_type=IngestParameters,
            response_type=(BatchReply, SingleReply),
            details=_DURABLE,
            operation_id="ingest_events",
            other_bodies=_OTHER_FORMS | {"application/x-ndjson": Lines},
        )
        ingests_cloudevents = Description(
            "Post CloudEvents",
            body_type=(CloudEvent, CloudEvents),
            status=204,
            details="All or nothing: one invalid event, and none is stored. The path that OpenMeter's clients use.",
            operation_id="ingest_cloudevents",
            other_bodies=_OTHER_FORMS,
        )
        return [
            Route("POST", INGEST, Scope.INGEST, self.ingest, ingests),
            Route("POST", CLOUDEVENTS, Scope.INGEST, self.cloudevents, ingests_cloudevents),
        ]

    async def ingest(self, request: Request) -> Response:
        strict = request.has_query and request.read_parameters(IngestParameters).strict
        with request.budget.share() as share:
            posted, outcome = await self._take(request, share, strict=strict)
        if outcome.is_refused or (strict and outcome.rejections):
            raise refusal(posted, outcome)
        if posted.body_format.is_single:
            return _single_reply(request, posted, outcome)
        return request.success(
            accepted=outcome.accepted,
            duplicates=outcome.duplicates,
            rejected=[rejection_document(rejection) for rejection in outcome.rejections],
        )

    async def cloudevents(self, request: Request) -> Response:
        """All or nothing, because a 204 cannot name the refused events."""
        with request.budget.share() as share:
            posted, outcome = await self._take(request, share, strict=True)
        if outcome.rejections:
            raise refusal(posted, outcome)
        return Response(204, b"")

    async def _take(self, request: Request, share: MemoryShare, *, strict: bool) -> tuple[PostedBatch, BatchOutcome]:
        posted = await self._bodies.parse(request, share, strict=strict)
        outcome = await self._intake.submit(posted)
        self._throughput.add(request.account, outcome)
        return posted, outcome


def _single_reply(request: Request, posted: PostedBatch, outcome: BatchOutcome) -> Response:
    return request.success(status=outcome.verdict.value, usage_id=usage_id(posted), cost=[], customer_balances=[])


def refusal(posted: PostedBatch, outcome: BatchOutcome) -> Refused:
    """The error for a request of which nothing was stored; its details state why, event by event."""
    details: list[dict[str, Any]] = [rejection_document(rejection) for rejection in outcome.rejections]
    if not posted.body_format.is_single:
        return Invalid(_summary(posted, outcome), details=details)
    first = outcome.rejections[0]
    if outcome.verdict is Verdict.CONFLICT:
        return Conflict(first.message, code=RejectCode.CONFLICT.value, field=first.field, details=details)
    return Invalid(first.message, field=first.field, details=details)


def _summary(posted: PostedBatch, outcome: BatchOutcome) -> str:
    invalid, events = len(outcome.rejections), posted.events
    if invalid == events:
        return f"none of the {events} events can be accepted; details state why"
    return f"{invalid} of the {events} events cannot be accepted, so none was stored; details list them"
