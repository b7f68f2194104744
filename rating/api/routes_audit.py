"""`/v1/audit`: the audit log, each change with the states before and after it."""

from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta

from ingest_gateway.http.envelope import Listed
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.resource import PathParams, page_of
from ingest_gateway.http.route import Route
from rating.api.ports import AuditLog
from schemas.account import Scope
from schemas.audit import AuditEntry, AuditQuery
from schemas.field_types import Id
from schemas.ids import AccountId
from schemas.listing import Page
from schemas.timestamps import to_iso


class AuditParameters(Paging, frozen=True, kw_only=True):
    """Filters of the audit log."""

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


def audit_routes(audit: AuditLog) -> list[Route]:
    """Administrators read the audit log."""

    async def list_changes(account: AccountId, _: PathParams, parameters: AuditParameters) -> Page:
        return await audit.list(
            AuditQuery(account=account, subject=parameters.subject, limit=parameters.limit, cursor=parameters.cursor)
        )

    return [
        page_of("entries", AuditPage, _document).query(
            "/v1/audit",
            "List changes, newest first",
            AuditParameters,
            list_changes,
            scope=Scope.ADMIN,
            operation_id="list_changes",
        )
    ]


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
