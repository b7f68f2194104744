"""The audit log: every change of the ledger, for ever."""

import msgspec

from schemas.ids import AccountId


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to what. `before` and `after` are JSON texts; None where there was, or is, nothing."""

    id: str
    at: int
    actor: str
    request_id: str
    action: str
    subject: str
    before: str | None
    after: str | None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries to list."""

    account: AccountId
    subject: str | None = None
    """The id of what was changed."""
    limit: int = 50
    cursor: str | None = None
