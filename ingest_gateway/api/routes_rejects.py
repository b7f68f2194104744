"""`/v1/rejects`: accepted events that could not be counted, why, and their replay."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ingest_gateway.api.ingest_documents import EventText
from ingest_gateway.api.routes_events import properties_json
from ingest_gateway.http.envelope import Listed, Response, Success, pagination
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.http.validation import read_record
from ingest_gateway.ingest.replay import MOST_REPLAYED, RejectReplayer
from ingest_gateway.ports import EventReader, MeterCatalog, ReplayResults
from schemas.account import Scope
from schemas.command import Applied, Command
from schemas.errors import Invalid
from schemas.event import MAX_NAME_LENGTH
from schemas.ids import AccountId
from schemas.listing import Reject, RejectQuery, ReplayResult, Skipped
from schemas.timestamps import to_iso

RejectId = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, examples=["rej_0_7_42_3_tokens"])]


class RejectParameters(Paging, frozen=True, kw_only=True):
    """Filters and paging of rejects."""

    code: str | None = None
    meter: str | None = None
    open: Annotated[bool, Meta(description="Leave out replayed rejects.")] = False
    cursor: Annotated[str, Meta(description="`next_cursor` of the previous page.")] | None = None


class RejectDocument(msgspec.Struct, kw_only=True):
    """An accepted event that could not be counted, with the reason."""

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
    """The replayed and the skipped rejects."""

    replayed: list[str]
    skipped: list[Skipped]
    more: Annotated[bool, Meta(description="The same request, a moment later, would find others.")]


class ReplayReply(Success, kw_only=True):
    """The replayed and the skipped rejects."""

    replay: ReplayDocument


def reject_document(reject: Reject) -> dict[str, Any]:
    return {
        "id": reject.id,
        "meter": reject.meter,
        "code": reject.code,
        "message": reject.message,
        "event_name": reject.event_name,
        "idempotency_key": reject.idempotency_key,
        "customer_id": reject.customer_id,
        "timestamp": to_iso(reject.timestamp),
        "properties": properties_json(reject.properties),
        "arrived_at": to_iso(reject.arrival),
        "replay_of": reject.replay_of,
        "replayed": reject.replayed,
        "request_id": reject.request_id,
    }


class RejectRoutes:
    """Readers see rejects; administrators replay them."""

    def __init__(
        self, events: EventReader, meters: MeterCatalog, replays: RejectReplayer, replay_results: ReplayResults
    ) -> None:
        self._events = events
        self._meters = meters
        self._replays = replays
        self._replay_results = replay_results

    def routes(self) -> list[Route]:
        lists = Description(
            "List rejects: events that could not be counted, and why",
            query_type=RejectParameters,
            response_type=RejectPage,
            error_statuses=(422,),
        )
        replays = Description(
            "Replay rejects",
            body_type=ReplayRequest,
            response_type=ReplayReply,
            details=f"Up to {MOST_REPLAYED} in one request. A reject counts at most once, even if replayed twice.",
        )
        return [
            Route("GET", "/v1/rejects", Scope.READ, self.index, lists),
            Route("POST", "/v1/rejects/replay", Scope.ADMIN, self.replay, replays),
        ]

    async def index(self, request: Request) -> Response:
        """Newest arrival first; `open=true` leaves out replayed rejects."""
        parameters = request.read_parameters(RejectParameters)
        query = RejectQuery(
            account=request.account,
            code=parameters.code,
            meter=parameters.meter,
            open_only=parameters.open,
            limit=parameters.limit,
            cursor=parameters.cursor,
        )
        page = await self._events.rejects(query)
        shown = [reject_document(reject) for reject in page.items]
        return request.success(rejects=shown, pagination=pagination(page.next_cursor))

    async def replay(self, request: Request) -> Response:
        """Replays up to a thousand rejects; `more` states that the same request, a moment later, would find others."""
        document = await request.document()
        query = to_query(read_record(document, ReplayRequest), request.account)
        command = command_of(request, document)
        before = await self._replay_results.find(command)
        applied = await self._replay(command, query) if before is None else Applied(answer=before, is_replay=True)
        return applied_response(request, applied, replay=msgspec.to_builtins(applied.answer))

    async def _replay(self, command: Command, query: RejectQuery) -> Applied[ReplayResult]:
        """Appends to the log first and records the result second: a reject replayed twice still counts once."""
        found = await self._events.rejects(query)
        meters = {meter.code: meter for meter in await self._meters.list(command.account)}
        replayable, skipped = self._replays.select(found.items, meters)
        await self._replays.append(replayable, command.request_id)
        existing = {reject.id for reject in found.items}
        unknown = [Skipped(id=named, reason="there is no such reject") for named in query.ids if named not in existing]
        result = ReplayResult(
            replayed=tuple(reject.id for reject in replayable),
            skipped=(*skipped, *unknown),
            # Where none was replayed, the same request would find the same rejects again.
            more=bool(replayable) and found.next_cursor is not None,
        )
        return await self._replay_results.record(command, result)


def to_query(replay: ReplayRequest, account: AccountId) -> RejectQuery:
    """The rejects to replay: those of `ids`, or all open ones of a meter, a code, or both. Raises Invalid."""
    meter, code = replay.meter or None, replay.code or None
    if replay.ids:
        if meter or code:
            raise Invalid("ids: give either ids, or meter and code, not both", field="ids")
        return RejectQuery(account=account, ids=tuple(dict.fromkeys(replay.ids)), limit=MOST_REPLAYED)
    if not (meter or code):
        raise Invalid('ids: state which rejects: {"ids": ["rej_…"]}, {"meter": "tokens"} or {"code": "…"}', field="ids")
    return RejectQuery(account=account, meter=meter, code=code, open_only=True, limit=MOST_REPLAYED)
