"""`GET /v1/events`: raw events, and how each meter counted one of them."""

from typing import Annotated, Any

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.http.envelope import Listed, Response, pagination
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.ports import EventReader, MeterCatalog
from schemas.account import Scope
from schemas.ids import AccountId
from schemas.listing import EventQuery, MeterCount, Share, StoredEvent
from schemas.moments import EventMoment
from schemas.quantity import to_text
from schemas.timestamps import to_iso


class EventParameters(Paging, frozen=True, kw_only=True):
    """Filters and paging of events."""

    idempotency_key: Annotated[
        str | None, Meta(description="With it, each event also states how each meter counted it.")
    ] = None
    event_name: str | None = None
    customer_id: str | None = None
    start: EventMoment | None = msgspec.field(default=None, name="from")
    end: EventMoment | None = msgspec.field(default=None, name="to")
    cursor: Annotated[str, Meta(description="`next_cursor` of the previous page.")] | None = None


class CountedDocument(msgspec.Struct, kw_only=True):
    """How one meter counted an event."""

    meter: str
    share: Share
    value: Annotated[str | None, Meta(description="The event's contribution, exactly.")]
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
    counted: Annotated[list[CountedDocument] | UnsetType, Meta(description="Only with `idempotency_key`.")] = UNSET


class EventPage(Listed, kw_only=True):
    """One page of events, newest arrival first."""

    events: list[EventDocument]


def event_document(event: StoredEvent) -> dict[str, Any]:
    return {
        "event_name": event.event_name,
        "idempotency_key": event.idempotency_key,
        "customer_id": event.customer_id,
        "timestamp": to_iso(event.timestamp),
        "properties": properties_json(event.properties),
        "arrived_at": to_iso(event.arrival),
        "backfill": event.backfill,
        "request_id": event.request_id,
    }


def properties_json(text: str) -> orjson.Fragment:
    """Properties exactly as posted; the intake has checked the text."""
    return orjson.Fragment(text or "{}")


def counted_document(counted: MeterCount) -> dict[str, Any]:
    return {
        "meter": counted.meter,
        "share": counted.share.value,
        "value": None if counted.value is None else to_text(counted.value),
        "group": counted.group,
        "code": counted.code,
        "message": counted.message,
    }


class EventRoutes:
    """Lists raw events to readers."""

    def __init__(self, events: EventReader, meters: MeterCatalog) -> None:
        self._events = events
        self._meters = meters

    def routes(self) -> list[Route]:
        description = Description(
            "List raw events, and how one of them was counted",
            query_type=EventParameters,
            response_type=EventPage,
            error_statuses=(422,),
        )
        return [Route("GET", "/v1/events", Scope.READ, self.index, description)]

    async def index(self, request: Request) -> Response:
        """Newest arrival first; a query for one idempotency key also shows how each meter counted the event."""
        parameters = request.read_parameters(EventParameters)
        query = EventQuery(
            account=request.account,
            idempotency_key=parameters.idempotency_key,
            event_name=parameters.event_name,
            customer_id=parameters.customer_id,
            start=parameters.start,
            end=parameters.end,
            limit=parameters.limit,
            cursor=parameters.cursor,
        )
        page = await self._events.events(query)
        shown = [event_document(event) for event in page.items]
        if query.idempotency_key is not None:
            for event, document in zip(page.items, shown, strict=True):
                document["counted"] = await self._counted(request.account, event)
        return request.success(events=shown, pagination=pagination(page.next_cursor))

    async def _counted(self, account: AccountId, event: StoredEvent) -> list[dict[str, Any]]:
        meters = [meter for meter in await self._meters.list(account) if meter.event_name == event.event_name]
        return [counted_document(counted) for counted in await self._events.counted(event, meters)]
