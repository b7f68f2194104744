"""Commands: one change of the ledger, its author, its idempotency key, and the result of applying it."""

from typing import Generic, TypeVar

import msgspec

from schemas.ids import AccountId

Answer = TypeVar("Answer")


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's key for one request: a repetition under the same key gets the same answer."""

    key: str
    fingerprint: str
    """A hash of method, path and body: the same key with another fingerprint is refused."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """The context of one change."""

    account: AccountId
    actor: str
    """The API key's id, or the name of the job."""
    request_id: str
    idempotency_key: IdempotencyKey | None = None


class Applied(msgspec.Struct, Generic[Answer], frozen=True, kw_only=True):
    """The result of a command."""

    answer: Answer
    is_replay: bool = False
    """True if an earlier command under the same key made the change; this one changed nothing."""
