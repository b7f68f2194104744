"""Posting events: every event gets its verdict, and a good answer means that the events are durable."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ingest_gateway.api.documents import rejection_document
from ingest_gateway.api.ingest_documents import (
    BatchReply,
    CloudEvent,
    CloudEvents,
    Event,
    EventBatch,
    IngestParameters,
    Lines,
    SingleReply,
)
from ingest_gateway.api.throughput import Rates
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.memory_budget import Share
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.ingest.batch import Posted
from ingest_gateway.ingest.cooperative import OneByOne
from ingest_gateway.ingest.decompression import decompress
from ingest_gateway.ingest.json_structure import count
from ingest_gateway.ingest.outcome import Outcome, usage_id
from ingest_gateway.ingest.parse import parse_body
from ingest_gateway.ingest.pieces import at_once
from schemas.account import Scope
from schemas.errors import Conflict, Invalid, Refused
from schemas.event import RejectCode, Verdict

INGEST = "/v1/events/ingest"
CLOUDEVENTS = "/api/v1/events"

_LARGE_BYTES = 1_000_000
_MANY_OBJECTS = 2_500
"""Where each event is bad in its own way, each costs up to 60 µs: beyond this nobody else may wait for them."""
_SMALL_BYTES = _MANY_OBJECTS * len(b"{}")
_BULK_BYTES = 5_000
"""A thousand events are 2 ms. Such bodies are read one at a time, in pieces, so that whoever asks for something else
meanwhile waits for one piece, not for all of them. A thread for each body costs a fifth of the rate.
"""
_COMPRESSED_BYTES = 4_000
"""A byte of gzip can become a thousand."""
_THREADS = 2
"""Bodies read apart at a time, so that they leave the threads that frames are made in to the intake."""

_Answer = TypeVar("_Answer")


_DURABLE = (
    "Accepted events are durable when the answer comes. Events need no Idempotency-Key header, for each has a key of "
    "its own: post them again after any failure, what is known is answered as a duplicate and counts once."
)
_OTHER_FORMS: dict[str, Any] = {
    "application/cloudevents+json": CloudEvent,
    "application/cloudevents-batch+json": CloudEvents,
}


class Submits(Protocol):
    """The intake."""

    async def submit(self, posted: Posted) -> Outcome: ...


class IngestRoutes:
    """The two doors for events: the contract's, and the one that OpenMeter's clients knock at."""

    def __init__(self, intake: Submits, rates: Rates, body_bytes: int) -> None:
        self._intake = intake
        self._rates = rates
        self._body_bytes = body_bytes
        self._apart = asyncio.Semaphore(_THREADS)
        self._one_by_one = OneByOne()

    def endpoints(self) -> list[Endpoint]:
        takes_events = About(
            "Post events",
            takes=(EventBatch, Event, CloudEvent, CloudEvents),
            asks=IngestParameters,
            gives=(BatchReply, SingleReply),
            more=_DURABLE,
            operation="ingest_events",
            also_takes=_OTHER_FORMS | {"application/x-ndjson": Lines},
        )
        takes_cloudevents = About(
            "Post CloudEvents",
            takes=(CloudEvent, CloudEvents),
            status=204,
            more="All or nothing: one bad event, and none is stored. The address that OpenMeter's clients know.",
            operation="ingest_cloudevents",
            also_takes=_OTHER_FORMS,
        )
        return [
            Endpoint("POST", INGEST, Scope.INGEST, self.ingest, takes_events),
            Endpoint("POST", CLOUDEVENTS, Scope.INGEST, self.cloudevents, takes_cloudevents),
        ]

    async def ingest(self, call: Call) -> Reply:
        strict = call.has_query and call.query(IngestParameters).flag("strict")
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
        posted = await self._parsed(call, await self._opened(call, share), strict=strict)
        outcome = await self._intake.submit(posted)
        self._rates.add(call.account, outcome)
        return posted, outcome

    async def _opened(self, call: Call, share: Share) -> bytes:
        """The plain bytes of the body."""
        body = await call.read(share, self._body_bytes)
        encoding = call.header.get(b"content-encoding")
        if encoding is None:
            return body

        def opened() -> bytes:
            return decompress(body, encoding.decode("latin-1"), self._body_bytes)

        plain = await self._in_thread(opened) if len(body) > _COMPRESSED_BYTES else opened()
        share.grow(len(plain))
        return plain

    async def _parsed(self, call: Call, body: bytes, *, strict: bool) -> Posted:
        """The events of a body: a small one here and now, a large one in pieces, one that may take long in a thread."""
        reading = parse_body(
            body,
            call.header.get(b"content-type", b"").decode("latin-1"),
            account=call.account,
            request_id=call.request_id,
            strict=strict,
            backfill=call.key.may(Scope.BACKFILL),
        )
        if takes_long(body):
            return await self._in_thread(lambda: at_once(reading))
        return at_once(reading) if len(body) <= _BULK_BYTES else await self._one_by_one.do(reading)

    async def _in_thread(self, work: Callable[[], _Answer]) -> _Answer:
        async with self._apart:
            return await asyncio.get_running_loop().run_in_executor(None, work)


def takes_long(body: bytes) -> bool:
    """Could reading it hold up other requests?"""
    size = len(body)
    return size > _LARGE_BYTES or (size > _SMALL_BYTES and count(body, "{") > _MANY_OBJECTS)


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
