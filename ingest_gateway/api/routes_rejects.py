"""`/v1/rejects`: what was accepted and could not be counted, why, and trying again."""

import msgspec

from ingest_gateway.api.documents import reject_document
from ingest_gateway.api.ingest_documents import RejectPage, RejectParameters, ReplayReply, ReplayRequest
from ingest_gateway.http.envelope import Response, pagination
from ingest_gateway.http.idempotency import answer, command_of
from ingest_gateway.http.request import Description, Request, Route
from ingest_gateway.http.validation import read_record
from ingest_gateway.ingest.replay import MOST_REPLAYED, RejectReplayer
from ingest_gateway.ports import EventReader, MeterCatalog, ReplayResults
from schemas.account import Scope
from schemas.command import Applied, Command
from schemas.errors import Invalid
from schemas.ids import AccountId
from schemas.listing import RejectQuery, ReplayResult, Skipped


class RejectRoutes:
    """Rejects are shown to readers and replayed by administrators."""

    def __init__(
        self, events: EventReader, meters: MeterCatalog, replays: RejectReplayer, replay_results: ReplayResults
    ) -> None:
        self._events = events
        self._meters = meters
        self._replays = replays
        self._retries = replay_results

    def routes(self) -> list[Route]:
        lists = Description(
            "List what could not be counted, and why", query_type=RejectParameters, response_type=RejectPage
        )
        replays = Description(
            "Try rejects again",
            body_type=ReplayRequest,
            response_type=ReplayReply,
            more=f"Up to {MOST_REPLAYED} in one request. A reject counts at most once, however often it is tried.",
        )
        return [
            Route("GET", "/v1/rejects", Scope.READ, self.index, lists),
            Route("POST", "/v1/rejects/replay", Scope.ADMIN, self.replay, replays),
        ]

    async def index(self, request: Request) -> Response:
        """Newest arrival first; `open=true` leaves out those that were tried again."""
        query = request.query(RejectParameters)
        found = await self._events.rejects(
            RejectQuery(
                account=request.account,
                code=query.text("code"),
                meter=query.text("meter"),
                open_only=query.flag("open"),
                limit=query.limit(),
                cursor=query.text("cursor"),
            )
        )
        shown = [reject_document(reject) for reject in found.items]
        return request.success(rejects=shown, pagination=pagination(found.next_cursor))

    async def replay(self, request: Request) -> Response:
        """Up to a thousand in one call; `more` says that the same call, a moment later, would find others."""
        document = await request.document()
        asked = to_query(read_record(document, ReplayRequest), request.account)
        command = command_of(request, document)
        before = await self._retries.before(command)
        done = await self._replay(command, asked) if before is None else Applied(answer=before, is_replay=True)
        return answer(request, done, replay=msgspec.to_builtins(done.answer))

    async def _replay(self, command: Command, asked: RejectQuery) -> Applied[ReplayResult]:
        """First into the log, then into the books: tried twice, a reject still counts once."""
        found = await self._events.rejects(asked)
        meters = {meter.code: meter for meter in await self._meters.list(command.account)}
        replayable, skipped = self._replays.select(found.items, meters)
        await self._replays.append(replayable, command.request_id)
        there = {reject.id for reject in found.items}
        unknown = [Skipped(id=named, reason="there is no such reject") for named in asked.ids if named not in there]
        retried = ReplayResult(
            replayed=tuple(reject.id for reject in replayable),
            skipped=(*skipped, *unknown),
            # Where none was tried, the same call would find the same ones for ever.
            more=bool(replayable) and found.next_cursor is not None,
        )
        return await self._retries.keep(command, retried)


def to_query(asked: ReplayRequest, account: AccountId) -> RejectQuery:
    """Which rejects to try again: those named by `ids`, or all open ones of a meter, a code, or both."""
    meter, code = asked.meter or None, asked.code or None
    if asked.ids:
        if meter or code:
            raise Invalid("ids: give either ids, or meter and code, not both", field="ids")
        return RejectQuery(account=account, ids=tuple(dict.fromkeys(asked.ids)), limit=MOST_REPLAYED)
    if not (meter or code):
        raise Invalid('ids: say which rejects: {"ids": ["rej_…"]}, {"meter": "tokens"} or {"code": "…"}', field="ids")
    return RejectQuery(account=account, meter=meter, code=code, open_only=True, limit=MOST_REPLAYED)
