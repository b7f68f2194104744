"""`GET /v1/events`: raw events, and how one of them was counted."""

from typing import Any

from ingest_gateway.api.documents import counted_document, event_document
from ingest_gateway.api.ingest_documents import EventPage, EventParameters
from ingest_gateway.http.envelope import Reply, page
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.ports import EventReader, Meters
from schemas.account import Scope
from schemas.ids import AccountId
from schemas.listing import EventQuery, StoredEvent


class EventRoutes:
    """For whoever wants to know what became of an event."""

    def __init__(self, events: EventReader, meters: Meters) -> None:
        self._events = events
        self._meters = meters

    def endpoints(self) -> list[Endpoint]:
        about = About("List raw events, and how one of them was counted", asks=EventParameters, gives=EventPage)
        return [Endpoint("GET", "/v1/events", Scope.READ, self.index, about)]

    async def index(self, call: Call) -> Reply:
        """Newest arrival first; asked for one idempotency key, also how each meter counted it."""
        query = call.query(EventParameters)
        asked = EventQuery(
            account=call.account,
            idempotency_key=query.text("idempotency_key"),
            event_name=query.text("event_name"),
            customer_id=query.text("customer_id"),
            start=query.moment("from"),
            end=query.moment("to"),
            limit=query.limit(),
            cursor=query.text("cursor"),
        )
        found = await self._events.events(asked)
        shown = [event_document(event) for event in found.items]
        if asked.idempotency_key is not None:
            for event, document in zip(found.items, shown, strict=True):
                document["counted"] = await self._counted(call.account, event)
        return call.success(events=shown, pagination=page(found.next_cursor))

    async def _counted(self, account: AccountId, event: StoredEvent) -> list[dict[str, Any]]:
        meters = [meter for meter in await self._meters.list(account) if meter.event_name == event.event_name]
        return [counted_document(counted) for counted in await self._events.counted(event, meters)]
