"""Accounts and their API keys."""

from enum import StrEnum

import msgspec

from schemas.ids import AccountId


class Scope(StrEnum):
    """What a key may do."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"
    BACKFILL = "backfill"
    """Lifts the limit on how old an event may be; useful only together with `ingest`."""


class Mode(StrEnum):
    """Live and test data never mix: they are two accounts' worth."""

    LIVE = "live"
    TEST = "test"


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made."""

    account: AccountId
    name: str
    scopes: frozenset[Scope]
    expires_at: int | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as kept: its secret is known only by hash."""

    id: str
    account: AccountId
    mode: Mode
    name: str
    prefix: str
    """The first characters, so that a person can tell keys apart."""
    scopes: frozenset[Scope]
    created_at: int
    expires_at: int | None = None
    """From then on it is no longer good; None: never."""
    revoked_at: int | None = None
    last_used_at: int | None = None
    """To the minute or so."""

    def is_valid(self, now: int) -> bool:
        return self.revoked_at is None and not self.has_expired(now)

    def has_expired(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def allows(self, scope: Scope) -> bool:
        """`admin` may do everything; but `backfill` must be given by name: it changes what is accepted."""
        if scope is Scope.BACKFILL:
            return scope in self.scopes
        return scope in self.scopes or Scope.ADMIN in self.scopes
