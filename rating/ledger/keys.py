"""API keys in the ledger: found by the hash of their secret."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from hmac import compare_digest
from typing import Any

import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.key_tokens import SHOWN, NewSecret, hash_of, new_token
from rating.ledger.tables import accounts, api_keys
from schemas.account import ApiKey, Mode, Scope
from schemas.errors import NotFound, StoreFailed
from schemas.ids import AccountId
from schemas.timestamps import MINUTE

LAST_USED_STEP = MINUTE
"""How exact `last_used_at` is: a write for every use would cost more than the use."""

_with_mode = sa.select(api_keys, accounts.c.mode).join(accounts, accounts.c.id == api_keys.c.account_id)


class SqlApiKeys:
    """The keys of all accounts."""

    def __init__(
        self, database: Database, clock: Callable[[], int], new_id: Callable[[], str], new_secret: NewSecret
    ) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._new_secret = new_secret

    async def find(self, token: str) -> ApiKey | None:
        """The key with this secret, revoked or not; None if there is none."""
        wanted = hash_of(token)
        row = await self._database.read(
            lambda connection: connection.execute(_with_mode.where(api_keys.c.secret_hash == wanted)).one_or_none()
        )
        if row is None or not compare_digest(row.secret_hash, wanted):
            return None
        key = to_key(row)
        if key.revoked_at is None:
            await self._note_use(key)
        return key

    async def _note_use(self, key: ApiKey) -> None:
        now = self._clock()
        if key.last_used_at is not None and now < key.last_used_at + LAST_USED_STEP:
            return
        used = sa.update(api_keys).where(api_keys.c.id == key.id).values(last_used_at=now)
        with suppress(StoreFailed):  # a ledger too busy to note a use can still tell that the key is good
            await self._database.write(lambda connection: connection.execute(used))

    async def create(self, account: AccountId, name: str, scopes: frozenset[Scope]) -> tuple[ApiKey, str]:
        """A new key and its secret, which is shown this once."""

        def insert(connection: sa.Connection) -> tuple[ApiKey, str]:
            mode = connection.scalar(sa.select(accounts.c.mode).where(accounts.c.id == account))
            if mode is None:
                raise NotFound(f"there is no account {account}")
            token = new_token(Mode(mode), self._new_secret)
            key = new_key(
                account, Mode(mode), token, name=name, scopes=scopes, key_id=self._new_id(), now=self._clock()
            )
            connection.execute(sa.insert(api_keys).values(key_values(key, token)))
            return key, token

        return await self._database.write(insert)

    async def list(self, account: AccountId) -> Sequence[ApiKey]:
        """Oldest first, revoked ones too."""
        of_account = _with_mode.where(api_keys.c.account_id == account).order_by(api_keys.c.created_at, api_keys.c.id)
        rows = await self._database.read(lambda connection: connection.execute(of_account).all())
        return [to_key(row) for row in rows]

    async def revoke(self, account: AccountId, key_id: str) -> ApiKey:
        """Raises NotFound. Revoking twice changes nothing."""
        this = (api_keys.c.id == key_id) & (api_keys.c.account_id == account)

        def end(connection: sa.Connection) -> ApiKey:
            still_good = this & api_keys.c.revoked_at.is_(None)
            connection.execute(sa.update(api_keys).where(still_good).values(revoked_at=self._clock()))
            row = connection.execute(_with_mode.where(this)).one_or_none()
            if row is None:
                raise NotFound(f"there is no API key {key_id} in this account")
            return to_key(row)

        return await self._database.write(end)


def new_key(
    account: AccountId, mode: Mode, token: str, *, name: str, scopes: frozenset[Scope], key_id: str, now: int
) -> ApiKey:
    return ApiKey(id=key_id, account=account, mode=mode, name=name, prefix=token[:SHOWN], scopes=scopes, created_at=now)


def key_values(key: ApiKey, token: str) -> dict[str, Any]:
    """The row of a new key."""
    return {
        "id": key.id,
        "account_id": key.account,
        "name": key.name,
        "prefix": key.prefix,
        "secret_hash": hash_of(token),
        "scopes": " ".join(sorted(key.scopes)),
        "created_at": key.created_at,
    }


def to_key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        account=AccountId(row.account_id),
        mode=Mode(row.mode),
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(Scope(scope) for scope in row.scopes.split()),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
