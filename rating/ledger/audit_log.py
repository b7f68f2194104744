"""The audit log: which actor changed what, from which state to which."""

from typing import Any

import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.rows import newest_first
from rating.ledger.tables import audit_log
from schemas.audit import AuditEntry, AuditQuery
from schemas.listing import Page


class SqlAuditLog:
    """Reads the entries of one account. The changes themselves write them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, query: AuditQuery) -> Page:
        """Newest first."""
        rows = sa.select(audit_log).where(audit_log.c.account_id == query.account)
        if query.subject is not None:
            rows = rows.where(audit_log.c.subject == query.subject)
        paging = query.limit, query.cursor
        return await self._database.read(lambda c: newest_first(c, rows, audit_log.c.id, paging, _to_entry))


def _to_entry(row: Any) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor=row.actor,
        request_id=row.request_id,
        action=row.action,
        subject=row.subject,
        before=row.before,
        after=row.after,
    )
