"""Idempotency keys: the answer of a request, stored in the transaction of its change, for repeated requests."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from rating.ledger.tables import idempotency_keys
from schemas.command import IdempotencyKey
from schemas.errors import Conflict
from schemas.ids import AccountId
from schemas.timestamps import DAY

KEY_LIFETIME = DAY
"""How long a key is valid, in microseconds."""


def reserve_key(connection: sa.Connection, account: AccountId, idempotency_key: IdempotencyKey, now: int) -> str | None:
    """None for the first request under the key, which it reserves; otherwise the first request's answer.

    A request concurrent with the first waits here for its end, and takes its place if it is rolled back. Raises
    Conflict if another request used the key.
    """
    delete_expired(connection, now)
    values = {
        "account_id": account,
        "key": idempotency_key.key,
        "fingerprint": idempotency_key.fingerprint,
        "created_at": now,
    }
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    reserved = insert(idempotency_keys).values(values).on_conflict_do_nothing().returning(idempotency_keys.c.key)
    if connection.execute(reserved).first() is not None:
        return None
    return _answer(
        connection.execute(sa.select(idempotency_keys).where(_this(account, idempotency_key))).one(), idempotency_key
    )


def find_answer(connection: sa.Connection, account: AccountId, idempotency_key: IdempotencyKey, now: int) -> str | None:
    """The answer of the first request under the key; None if there was none. Reserves nothing."""
    fresh = idempotency_keys.c.created_at > now - KEY_LIFETIME
    row = connection.execute(sa.select(idempotency_keys).where(_this(account, idempotency_key), fresh)).one_or_none()
    return None if row is None else _answer(row, idempotency_key)


def _answer(row: Any, idempotency_key: IdempotencyKey) -> str:
    if row.fingerprint != idempotency_key.fingerprint:
        raise key_reused(idempotency_key)
    return str(row.answer)


def key_reused(idempotency_key: IdempotencyKey) -> Conflict:
    return Conflict(
        f"Idempotency-Key: {idempotency_key.key!r} was used for another request within the last 24 hours; "
        "use a new key for a new request, and the same body for the same one",
        code="IDEMPOTENCY_KEY_REUSED",
        field="Idempotency-Key",
    )


def store_answer(connection: sa.Connection, account: AccountId, idempotency_key: IdempotencyKey, answer: str) -> None:
    connection.execute(sa.update(idempotency_keys).where(_this(account, idempotency_key)).values(answer=answer))


def delete_expired(connection: sa.Connection, now: int) -> None:
    connection.execute(sa.delete(idempotency_keys).where(idempotency_keys.c.created_at <= now - KEY_LIFETIME))


def _this(account: AccountId, idempotency_key: IdempotencyKey) -> sa.ColumnElement[bool]:
    return (idempotency_keys.c.account_id == account) & (idempotency_keys.c.key == idempotency_key.key)
