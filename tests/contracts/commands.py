"""Commands for tests."""

from schemas.account import NewApiKey, Scope
from schemas.command import Command, IdempotencyKey
from schemas.ids import AccountId


def command_of(account: AccountId, idempotency_key: str | None = None, *, body: str = "") -> Command:
    """A command of this account; `idempotency_key` is its Idempotency-Key."""
    repeatable = None if idempotency_key is None else IdempotencyKey(key=idempotency_key, fingerprint=body)
    return Command(account=account, actor="tester", request_id="req_1", idempotency_key=repeatable)


def key_for(account: AccountId, name: str = "k", *scopes: Scope, expires_at: int | None = None) -> NewApiKey:
    return NewApiKey(account=account, name=name, scopes=frozenset(scopes or {Scope.READ}), expires_at=expires_at)
