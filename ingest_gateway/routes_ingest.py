"""Posting events: every event gets its verdict, and a good answer means that the events are durable."""

from typing import Any, Protocol

from ingest_gateway.bodies import decompress
from ingest_gateway.budget import Share
from ingest_gateway.documents import rejection_document
from ingest_gateway.endpoint import Call, Endpoint
from ingest_gateway.envelope import Reply
from ingest_gateway.outcome import Outcome, usage_id
from ingest_gateway.posted import Posted
from ingest_gateway.rates import Rates
from ingest_gateway.wire import parse_body
from schemas.account import Scope
from schemas.errors import Conflict, Invalid, Refused
from schemas.event import RejectCode, Verdict

INGEST = "/v1/events/ingest"
CLOUDEVENTS = "/api/v1/events"


class Submits(Protocol):
    """The intake."""

    async def submit(self, posted: Posted) -> Outcome: ...


class IngestRoutes:
    """The two doors for events: the contract's, and the one that OpenMeter's clients knock at."""

    def __init__(self, intake: Submits, rates: Rates, body_bytes: int) -> None:
        self._intake = intake
        self._rates = rates
        self._body_bytes = body_bytes

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", INGEST, Scope.INGEST, self.ingest),
            Endpoint("POST", CLOUDEVENTS, Scope.INGEST, self.cloudevents),
        ]

    async def ingest(self, call: Call) -> Reply:
        strict = call.has_query and call.query("strict").flag("strict")
        with call.budget.share() as share:
            posted, outcome = await self._take(call, share, strict=strict)
        if outcome.nothing_stands or (strict and outcome.rejections):
            raise refusal(posted, outcome)
        if posted.form.is_single:
            return _single_reply(call, posted, outcome)
        return call.success(
            accepted=outcome.accepted,
            duplicates=outcome.duplicates,
            rejected=[rejection_document(rejection) for rejection in outcome.rejections],
        )

    async def cloudevents(self, call: Call) -> Reply:
        """All or nothing, for 204 has no room to say which ones were refused."""
        with call.budget.share() as share:
            posted, outcome = await self._take(call, share, strict=True)
        if outcome.rejections:
            raise refusal(posted, outcome)
        return Reply(204, b"")

    async def _take(self, call: Call, share: Share, *, strict: bool) -> tuple[Posted, Outcome]:
        body = await call.read(share, self._body_bytes)
        encoding = call.header.get(b"content-encoding")
        if encoding is not None:
            opened = decompress(body, encoding.decode("latin-1"), self._body_bytes)
            share.grow(len(opened))
            body = opened
        posted = parse_body(
            body,
            call.header.get(b"content-type", b"").decode("latin-1"),
            account=call.account,
            request_id=call.request_id,
            strict=strict,
            backfill=call.key.may(Scope.BACKFILL),
        )
        outcome = await self._intake.submit(posted)
        self._rates.add(call.account, outcome)
        return posted, outcome


def _single_reply(call: Call, posted: Posted, outcome: Outcome) -> Reply:
    return call.success(status=outcome.verdict.value, usage_id=usage_id(posted), cost=[], customer_balances=[])


def refusal(posted: Posted, outcome: Outcome) -> Refused:
    """Nothing was stored: why, event by event."""
    details: list[dict[str, Any]] = [rejection_document(rejection) for rejection in outcome.rejections]
    if not posted.form.is_single:
        return Invalid(_summary(posted, outcome), details=details)
    first = outcome.rejections[0]
    if outcome.verdict is Verdict.CONFLICT:
        return Conflict(first.message, code=RejectCode.CONFLICT.value, field=first.field, details=details)
    return Invalid(first.message, field=first.field, details=details)


def _summary(posted: Posted, outcome: Outcome) -> str:
    bad, all_of_them = len(outcome.rejections), posted.events
    if bad == all_of_them:
        return f"none of the {all_of_them} events can be accepted; details tell why"
    return f"{bad} of the {all_of_them} events cannot be accepted, so none was stored; details tell which"
