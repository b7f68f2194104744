"""Events and rejects as requests and answers hold them. `ingest` reads posted ones; a test holds the two together."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.http.envelope import Listed, Success
from ingest_gateway.http.paging import Paging
from ingest_gateway.ingest.replay import MOST_REPLAYED
from schemas.event import MAX_BATCH_EVENTS, MAX_NAME_LENGTH, RejectCode, Verdict
from schemas.field_types import PRINTABLE, TimestampText
from schemas.listing import Share, Skipped

EventText = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, pattern=PRINTABLE)]
RejectId = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, examples=["rej_0_7_42_3_tokens"])]
Properties = Annotated[dict[str, Any], Meta(description="Up to 16 KB of JSON, up to 32 levels deep.")]


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happened."""

    event_name: EventText
    idempotency_key: Annotated[EventText, Meta(description="The same key and event again: counted once.")]
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
    """How."""

    strict: Annotated[bool, Meta(description="All or nothing: one bad event, and none is stored.")] = False


class RejectionDocument(msgspec.Struct, kw_only=True):
    """An event that was not accepted."""

    index: Annotated[int, Meta(description="Its place in the request.")]
    idempotency_key: str | None
    code: RejectCode
    field: str | None
    message: str


class BatchReply(Success, kw_only=True):
    """What became of several events. They are durable now."""

    accepted: int
    duplicates: Annotated[int, Meta(description="Known before, and not counted again.")]
    rejected: list[RejectionDocument]


class SingleReply(Success, kw_only=True):
    """What became of one event. It is durable now."""

    status: Verdict
    usage_id: Annotated[str, Meta(description="Made from the event's key: a retry is told the same one.")]
    cost: Annotated[list[dict[str, Any]], Meta(max_length=0)]
    customer_balances: Annotated[list[dict[str, Any]], Meta(max_length=0)]


class EventParameters(Paging, frozen=True, kw_only=True):
    """Which events."""

    idempotency_key: Annotated[str | None, Meta(description="Then also how each meter counted it.")] = None
    event_name: str | None = None
    customer_id: str | None = None
    start: TimestampText | None = msgspec.field(default=None, name="from")
    end: TimestampText | None = msgspec.field(default=None, name="to")
    cursor: Annotated[str, Meta(description="`next_cursor` of the page before.")] | None = None


class CountedDocument(msgspec.Struct, kw_only=True):
    """How one meter counted an event."""

    meter: str
    share: Share
    value: Annotated[str | None, Meta(description="What the event adds, exactly.")]
    group: dict[str, str | None]
    code: str | None
    message: str | None


class EventDocument(msgspec.Struct, kw_only=True):
    """A raw event."""

    event_name: str
    idempotency_key: str
    customer_id: str
    timestamp: str
    properties: dict[str, Any]
    arrived_at: str
    backfill: bool
    request_id: str
    counted: Annotated[list[CountedDocument] | UnsetType, Meta(description="Where a key was asked for.")] = UNSET


class EventPage(Listed, kw_only=True):
    """One page of events, newest arrival first."""

    events: list[EventDocument]


class RejectParameters(Paging, frozen=True, kw_only=True):
    """Which rejects."""

    code: str | None = None
    meter: str | None = None
    open: Annotated[bool, Meta(description="Leave out those that were tried again.")] = False
    cursor: Annotated[str, Meta(description="`next_cursor` of the page before.")] | None = None


class RejectDocument(msgspec.Struct, kw_only=True):
    """Something accepted that could not be counted, whole, with the reason."""

    id: str
    meter: Annotated[str | None, Meta(description="null where the event itself was refused.")]
    code: str
    message: str
    event_name: str
    idempotency_key: str
    customer_id: str
    timestamp: str
    properties: dict[str, Any]
    arrived_at: str
    replay_of: str | None
    replayed: bool
    request_id: str


class RejectPage(Listed, kw_only=True):
    """One page of rejects, newest arrival first."""

    rejects: list[RejectDocument]


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rejects: those of `ids`, or all open ones of a `meter`, a `code`, or both."""

    ids: Annotated[tuple[RejectId, ...], Meta(min_length=1, max_length=MOST_REPLAYED)] | UnsetType = UNSET
    meter: Annotated[EventText, Meta(examples=["tokens"])] | UnsetType = UNSET
    code: Annotated[EventText, Meta(examples=["VALUE_MISSING"])] | UnsetType = UNSET


class ReplayDocument(msgspec.Struct, kw_only=True):
    """What was tried again."""

    replayed: list[str]
    skipped: list[Skipped]
    more: Annotated[bool, Meta(description="The same request, a moment later, would find others.")]


class ReplayReply(Success, kw_only=True):
    """What was tried again."""

    replay: ReplayDocument
