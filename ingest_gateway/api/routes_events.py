"""`GET /v1/events`: raw events, and how one of them was counted."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.api.documents import counted_document, event_document
from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Listed, Response, pagination
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.ports import EventReader, MeterCatalog
from schemas.account import Scope
from schemas.field_types import TimestampText
from schemas.ids import AccountId
from schemas.listing import EventQuery, Share, StoredEvent


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


class EventRoutes:
    """For whoever wants to know what became of an event."""

    def __init__(self, events: EventReader, meters: MeterCatalog) -> None:
        self._events = events
        self._meters = meters

    def routes(self) -> list[Route]:
        description = Description(
            "List raw events, and how one of them was counted", query_type=EventParameters, response_type=EventPage
        )
        return [Route("GET", "/v1/events", Scope.READ, self.index, description)]

    async def index(self, request: Request) -> Response:
        """Newest arrival first; asked for one idempotency key, also how each meter counted it."""
        query = request.query(EventParameters)
        asked = EventQuery(
            account=request.account,
            idempotency_key=query.text("idempotency_key"),
            event_name=query.text("event_name"),
            customer_id=query.text("customer_id"),
            start=query.timestamp("from"),
            end=query.timestamp("to"),
            limit=query.limit(),
            cursor=query.text("cursor"),
        )
        found = await self._events.events(asked)
        shown = [event_document(event) for event in found.items]
        if asked.idempotency_key is not None:
            for event, document in zip(found.items, shown, strict=True):
                document["counted"] = await self._counted(request.account, event)
        return request.success(events=shown, pagination=pagination(found.next_cursor))

    async def _counted(self, account: AccountId, event: StoredEvent) -> list[dict[str, Any]]:
        meters = [meter for meter in await self._meters.list(account) if meter.event_name == event.event_name]
        return [counted_document(counted) for counted in await self._events.counted(event, meters)]
