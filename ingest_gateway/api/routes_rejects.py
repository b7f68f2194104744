"""`/v1/rejects`: what was accepted and could not be counted, why, and trying again."""

from typing import Any

from ingest_gateway.api.documents import reject_document
from ingest_gateway.api.endpoint import Call, Endpoint
from ingest_gateway.api.envelope import Reply, page
from ingest_gateway.api.replays import Replays, Skipped
from ingest_gateway.nearest import unknown_name
from ingest_gateway.ports import EventReader, Meters
from schemas.account import Scope
from schemas.errors import Invalid
from schemas.event import NAME_LENGTH
from schemas.ids import AccountId
from schemas.listing import RejectQuery

REPLAYED_AT_ONCE = 1000
FIELDS = ("ids", "meter", "code")


class RejectRoutes:
    """Rejects are shown to readers and replayed by administrators."""

    def __init__(self, events: EventReader, meters: Meters, replays: Replays) -> None:
        self._events = events
        self._meters = meters
        self._replays = replays

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/rejects", Scope.READ, self.index),
            Endpoint("POST", "/v1/rejects/replay", Scope.ADMIN, self.replay),
        ]

    async def index(self, call: Call) -> Reply:
        """Newest arrival first; `open=true` leaves out those that were tried again."""
        query = call.query("code", "meter", "open", "limit", "cursor")
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
        asked = read_replay(await call.document(), call.account)
        found = await self._events.rejects(asked)
        meters = {meter.code: meter for meter in await self._meters.list(call.account)}
        tried, skipped = self._replays.sort_out(found.items, meters)
        await self._replays.put(tried, call.request_id)
        there = {reject.id for reject in found.items}
        strangers = [Skipped(named, "there is no such reject") for named in asked.ids if named not in there]
        return call.success(
            replay={
                "replayed": [reject.id for reject in tried],
                "skipped": [skip._asdict() for skip in (*skipped, *strangers)],
                # Where none was tried, the same call would find the same ones for ever.
                "more": bool(tried) and found.next_cursor is not None,
            }
        )


def read_replay(document: dict[str, Any], account: AccountId) -> RejectQuery:
    """Which rejects to try again: those named by `ids`, or all open ones of a meter, a code, or both."""
    for field in document.keys() - set(FIELDS):
        raise unknown_name("field", field[:NAME_LENGTH], FIELDS)
    if "ids" in document:
        if len(document) > 1:
            raise Invalid("ids: give either ids, or meter and code, not both", field="ids")
        return RejectQuery(account=account, ids=_ids(document["ids"]), limit=REPLAYED_AT_ONCE)
    if not document:
        raise Invalid('ids: say which rejects: {"ids": ["rej_…"]}, {"meter": "tokens"} or {"code": "…"}', field="ids")
    return RejectQuery(
        account=account,
        meter=_text(document, "meter"),
        code=_text(document, "code"),
        open_only=True,
        limit=REPLAYED_AT_ONCE,
    )


def _ids(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= REPLAYED_AT_ONCE
        or not all(isinstance(item, str) and 0 < len(item) <= NAME_LENGTH for item in value)
    ):
        raise Invalid(f"ids: expected a list of 1 to {REPLAYED_AT_ONCE} reject ids, such as rej_…", field="ids")
    return tuple(dict.fromkeys(value))


def _text(document: dict[str, Any], field: str) -> str | None:
    value = document.get(field)
    if field in document and (not isinstance(value, str) or not 0 < len(value) <= NAME_LENGTH):
        raise Invalid(f"{field}: expected a text of 1 to {NAME_LENGTH} characters", field=field)
    return value
