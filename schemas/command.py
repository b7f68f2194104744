"""Who asks for a change, and under which names: what every change of the ledger is told with it."""

from typing import Generic, TypeVar

import msgspec

from schemas.ids import AccountId

Answer = TypeVar("Answer")


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's promise that a repeated request is the same one, and must have the same answer."""

    key: str
    fingerprint: str
    """Of method, path and body: a key that comes back with another one is a mistake."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

    account: AccountId
    actor: str
    """The API key's id, or the name of the job."""
    request_id: str
    idempotency_key: IdempotencyKey | None = None


class Applied(msgspec.Struct, Generic[Answer], frozen=True, kw_only=True):
    """What a change led to."""

    answer: Answer
    is_replay: bool = False
    """It was done before, under the same key; nothing was done now."""
