"""`/v1/audit`: who changed what, from which state to which."""

from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Listed, Response, listed
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from rating.api.ports import AuditLog
from schemas.account import Scope
from schemas.audit import AuditEntry, AuditQuery
from schemas.field_types import Id
from schemas.timestamps import to_iso


class AuditParameters(Paging, frozen=True, kw_only=True):
    """Which entries of the audit log."""

    subject: Annotated[Id, Meta(description="The id of what was changed.")] | None = None


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

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def routes(self) -> list[Route]:
        description = Description(
            "List changes, newest first",
            query_type=AuditParameters,
            response_type=AuditPage,
            operation_id="list_changes",
        )
        return [Route("GET", "/v1/audit", Scope.ADMIN, self.index, description)]

    async def index(self, request: Request) -> Response:
        asked = request.read_query(AuditParameters)
        query = AuditQuery(account=request.account, subject=asked.subject, limit=asked.limit, cursor=asked.cursor)
        entries, pagination = listed(await self._audit.list(query), _document)
        return request.success(entries=entries, pagination=pagination)


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
