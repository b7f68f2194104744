"""`/v1/rejects`: what was accepted and could not be counted, why, and trying again."""

import msgspec

from ingest_gateway.api.documents import reject_document
from ingest_gateway.api.ingest_documents import RejectPage, RejectParameters, ReplayReply, ReplayRequest
from ingest_gateway.http.envelope import Reply, page
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.http.validation import read_record
from ingest_gateway.ingest.replay import REPLAYED_AT_ONCE, Replays
from ingest_gateway.ports import EventReader, Meters, Retries
from schemas.account import Scope
from schemas.command import Act, Done
from schemas.errors import Invalid
from schemas.ids import AccountId
from schemas.listing import RejectQuery, Retried, Skipped


class RejectRoutes:
    """Rejects are shown to readers and replayed by administrators."""

    def __init__(self, events: EventReader, meters: Meters, replays: Replays, retries: Retries) -> None:
        self._events = events
        self._meters = meters
        self._replays = replays
        self._retries = retries

    def endpoints(self) -> list[Endpoint]:
        lists = About("List what could not be counted, and why", asks=RejectParameters, gives=RejectPage)
        replays = About(
            "Try rejects again",
            takes=ReplayRequest,
            gives=ReplayReply,
            more=f"Up to {REPLAYED_AT_ONCE} in one request. A reject counts at most once, however often it is tried.",
        )
        return [
            Endpoint("GET", "/v1/rejects", Scope.READ, self.index, lists),
            Endpoint("POST", "/v1/rejects/replay", Scope.ADMIN, self.replay, replays),
        ]

    async def index(self, call: Call) -> Reply:
        """Newest arrival first; `open=true` leaves out those that were tried again."""
        query = call.query(RejectParameters)
        found = await self._events.rejects(
            RejectQuery(
                account=call.account,
                code=query.text("code"),
                meter=query.text("meter"),
                open_only=query.flag("open"),
                limit=query.limit(),
                cursor=query.text("cursor"),
            )
        )
        shown = [reject_document(reject) for reject in found.items]
        return call.success(rejects=shown, pagination=page(found.next_cursor))

    async def replay(self, call: Call) -> Reply:
        """Up to a thousand in one call; `more` says that the same call, a moment later, would find others."""
        document = await call.document()
        asked = to_query(read_record(document, ReplayRequest), call.account)
        act = act_of(call, document)
        before = await self._retries.before(act)
        done = await self._try(act, asked) if before is None else Done(answer=before, is_replay=True)
        return answer(call, done, replay=msgspec.to_builtins(done.answer))

    async def _try(self, act: Act, asked: RejectQuery) -> Done[Retried]:
        """First into the log, then into the books: tried twice, a reject still counts once."""
        found = await self._events.rejects(asked)
        meters = {meter.code: meter for meter in await self._meters.list(act.account)}
        tried, skipped = self._replays.sort_out(found.items, meters)
        await self._replays.put(tried, act.request_id)
        there = {reject.id for reject in found.items}
        strangers = [Skipped(id=named, reason="there is no such reject") for named in asked.ids if named not in there]
        retried = Retried(
            replayed=tuple(reject.id for reject in tried),
            skipped=(*skipped, *strangers),
            # Where none was tried, the same call would find the same ones for ever.
            more=bool(tried) and found.next_cursor is not None,
        )
        return await self._retries.keep(act, retried)


def to_query(asked: ReplayRequest, account: AccountId) -> RejectQuery:
    """Which rejects to try again: those named by `ids`, or all open ones of a meter, a code, or both."""
    meter, code = asked.meter or None, asked.code or None
    if asked.ids:
        if meter or code:
            raise Invalid("ids: give either ids, or meter and code, not both", field="ids")
        return RejectQuery(account=account, ids=tuple(dict.fromkeys(asked.ids)), limit=REPLAYED_AT_ONCE)
    if not (meter or code):
        raise Invalid('ids: say which rejects: {"ids": ["rej_…"]}, {"meter": "tokens"} or {"code": "…"}', field="ids")
    return RejectQuery(account=account, meter=meter, code=code, open_only=True, limit=REPLAYED_AT_ONCE)
