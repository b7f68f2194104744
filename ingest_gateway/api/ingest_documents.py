"""Posted events and their responses as the OpenAPI document describes them. `ingest` reads them by hand, for speed."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ingest_gateway.http.envelope import Success
from schemas.event import MAX_BATCH_EVENTS, MAX_NAME_LENGTH, RejectCode, Rejection, Verdict
from schemas.field_types import PRINTABLE, TimestampText

EventText = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, pattern=PRINTABLE)]
Properties = Annotated[dict[str, Any], Meta(description="Up to 16 KB of JSON, up to 32 levels deep.")]


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A usage event."""

    event_name: EventText
    idempotency_key: Annotated[
        EventText, Meta(description="A repeat of the same event under the same key counts once.")
    ]
    customer_id: EventText
    timestamp: TimestampText
    properties: Properties | None = None


class EventBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several events, each judged by itself."""

    events: Annotated[list[Event], Meta(min_length=1, max_length=MAX_BATCH_EVENTS)]


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0. `type` is the event's name, `id` its key, `subject` the customer, `data` the properties."""

    specversion: Literal["1.0"]
    source: Annotated[str, Meta(min_length=1)]
    type: EventText
    id: EventText
    subject: EventText
    time: Annotated[TimestampText | None, Meta(description="Without it, the time of arrival.")] = None
    data: Properties | None = None


CloudEvents = Annotated[list[CloudEvent], Meta(min_length=1, max_length=MAX_BATCH_EVENTS)]
_LINE = (
    '{"event_name":"api.request","idempotency_key":"req_45c48cce","customer_id":"cm5x9z8nv0000h85r7l9p2k1m",'
    '"timestamp":"2026-11-21T10:30:00Z","properties":{"tokens":1500}}\n'
)
Lines = Annotated[str, Meta(description="One JSON event a line.", examples=[_LINE])]


class IngestParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a post."""

    strict: Annotated[bool, Meta(description="All or nothing: one invalid event, and none is stored.")] = False


class RejectionDocument(msgspec.Struct, kw_only=True):
    """An event that was not accepted."""

    index: Annotated[int, Meta(description="The event's index in the request.")]
    idempotency_key: str | None
    code: RejectCode
    field: str | None
    message: str


def rejection_document(rejection: Rejection) -> dict[str, Any]:
    return {
        "index": rejection.index,
        "idempotency_key": rejection.idempotency_key,
        "code": rejection.code.value,
        "field": rejection.field,
        "message": rejection.message,
    }


class BatchReply(Success, kw_only=True):
    """The verdicts on several events: each is accepted, a duplicate or rejected."""

    accepted: Annotated[int, Meta(description="Durable, and each key counts exactly once.")]
    duplicates: Annotated[
        int,
        Meta(
            description="Known to be durable already, with the same body, and not counted again. A repeat that the "
            "gateway cannot look up in time, or of a key that first arrived more than 35 days ago, is `accepted`, and "
            "counts once all the same."
        ),
    ]
    rejected: Annotated[list[RejectionDocument], Meta(description="Invalid events and conflicts: none is stored.")]


class SingleReply(Success, kw_only=True):
    """The verdict on one event, which is durable."""

    status: Annotated[
        Verdict,
        Meta(
            description="`accepted`: the key counts exactly once. `duplicate`: known to be durable already. A repeat "
            "that the gateway cannot look up in time, or of a key that first arrived more than 35 days ago, is "
            "`accepted`, and counts once all the same."
        ),
    ]
    usage_id: Annotated[str, Meta(description="Derived from the event's key: a retry gets the same one.")]
    cost: Annotated[list[dict[str, Any]], Meta(max_length=0)]
    customer_balances: Annotated[list[dict[str, Any]], Meta(max_length=0)]
