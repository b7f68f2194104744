"""The audit log: an entry for every change of the ledger. Entries are never deleted."""

import msgspec

from schemas.ids import AccountId


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. `before` and `after` are JSON texts; None for an object that did not, or does not, exist."""

    id: str
    at: int
    actor: str
    request_id: str
    action: str
    subject: str
    before: str | None
    after: str | None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    account: AccountId
    subject: str | None = None
    """The id of the changed object."""
    limit: int = 50
    cursor: str | None = None
