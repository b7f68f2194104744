"""Acts as tests ask for them."""

from schemas.account import NewKey, Scope
from schemas.command import Act, Once
from schemas.ids import AccountId


def by(account: AccountId, once: str | None = None, *, body: str = "") -> Act:
    """A change of this account; `once` is its Idempotency-Key."""
    repeatable = None if once is None else Once(key=once, fingerprint=body)
    return Act(account=account, actor="tester", request_id="req_1", once=repeatable)


def key_for(account: AccountId, name: str = "k", *scopes: Scope, expires_at: int | None = None) -> NewKey:
    return NewKey(account=account, name=name, scopes=frozenset(scopes or {Scope.READ}), expires_at=expires_at)
