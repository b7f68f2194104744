"""Accounts and their API keys."""

from enum import StrEnum

import msgspec

from schemas.ids import AccountId


class Scope(StrEnum):
    """A permission of an API key."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"
    BACKFILL = "backfill"
    """Lifts the limit on how old an event may be; useful only together with `ingest`."""


class Mode(StrEnum):
    """Live and test data never mix: they belong to two accounts."""

    LIVE = "live"
    TEST = "test"


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request to create a key."""

    account: AccountId
    name: str
    scopes: frozenset[Scope]
    expires_at: int | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key; of its secret only the hash is stored."""

    id: str
    account: AccountId
    mode: Mode
    name: str
    prefix: str
    """The first characters, by which a person recognizes the key."""
    scopes: frozenset[Scope]
    created_at: int
    expires_at: int | None = None
    """The key is invalid from this time on; None for a key that never expires."""
    revoked_at: int | None = None
    last_used_at: int | None = None
    """Accurate to about a minute."""

    def is_valid(self, now: int) -> bool:
        return self.revoked_at is None and not self.has_expired(now)

    def has_expired(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def lasts_as_long_as(self, other: "ApiKey") -> bool:
        """True if it does not expire before `other` does."""
        return self.expires_at is None or (other.expires_at is not None and self.expires_at >= other.expires_at)

    def allows(self, scope: Scope) -> bool:
        """`admin` implies every scope but `backfill`, which changes what is accepted and must be granted by name."""
        if scope is Scope.BACKFILL:
            return scope in self.scopes
        return scope in self.scopes or Scope.ADMIN in self.scopes
