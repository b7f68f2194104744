"""`/v1/audit`: who changed what, from which state to which."""

from typing import Any

import msgspec
import orjson

from ingest_gateway.http.answers import Listed, listed
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.request import About, Call, Endpoint
from rating.api.ports import Audit
from rating.api.queries import AuditParameters
from schemas.account import Scope
from schemas.audit import AuditEntry, AuditQuery
from schemas.timestamps import to_iso


class AuditDocument(msgspec.Struct, kw_only=True):
    """One change. `before` and `after` are the record as the ledger keeps it, times in microseconds since 1970."""

    id: str
    at: str
    actor: str
    request_id: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(Listed, kw_only=True):
    """One page of the audit log."""

    entries: list[AuditDocument]


class AuditRoutes:
    """Administrators read it; nobody writes it but the changes themselves."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def endpoints(self) -> list[Endpoint]:
        about = About("List changes, newest first", asks=AuditParameters, gives=AuditPage, operation="list_changes")
        return [Endpoint("GET", "/v1/audit", Scope.ADMIN, self.index, about)]

    async def index(self, call: Call) -> Reply:
        asked = call.asked(AuditParameters)
        query = AuditQuery(account=call.account, subject=asked.subject, limit=asked.limit, cursor=asked.cursor)
        entries, pagination = listed(await self._audit.list(query), _document)
        return call.success(entries=entries, pagination=pagination)


def _document(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": to_iso(entry.at),
        "actor": entry.actor,
        "request_id": entry.request_id,
        "action": entry.action,
        "subject": entry.subject,
        "before": _fragment(entry.before),
        "after": _fragment(entry.after),
    }


def _fragment(text: str | None) -> Any:
    return None if text is None else orjson.Fragment(text)
