"""API keys in the ledger: the form of a secret, and keys found by the hash of theirs, which alone is stored."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hmac import compare_digest
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace

from rating.ledger.database import Database
from rating.ledger.tables import accounts, api_keys
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.account import ApiKey, Mode, NewApiKey, Scope
from schemas.command import Applied, Command
from schemas.errors import Conflict, Invalid, NotFound, StoreFailed
from schemas.ids import AccountId
from schemas.timestamps import MINUTE

PREFIX_LENGTH = 12

_FORM = re.compile(r"ak_(live|test)_[A-Za-z0-9_-]{1,200}", re.ASCII)

NewSecret = Callable[[], str]
"""At least 32 url-safe random characters; `secrets.token_urlsafe` in production."""


def new_token(mode: Mode, new_secret: NewSecret) -> str:
    return f"ak_{mode.value}_{new_secret()}"


def mode_of(token: str) -> Mode:
    """The mode that the token names. Raises Invalid if `token` has another form."""
    form = _FORM.fullmatch(token)
    if form is None:
        raise Invalid(
            "an API key is ak_live_ or ak_test_ and up to 200 letters, digits, '-' or '_'; "
            f"the one given has {len(token)} characters and another form"
        )
    return Mode(form[1])


def hash_of(token: str) -> str:
    """SHA-256. The secret is long and random, so a slow hash would slow down only honest callers."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


LAST_USED_STEP = MINUTE
"""The precision of `last_used_at`, in microseconds: a write for every use would cost more than the use."""

with_mode = sa.select(api_keys, accounts.c.mode).join(accounts, accounts.c.id == api_keys.c.account_id)


class SqlApiKeys:
    """The keys of all accounts."""

    def __init__(
        self, database: Database, transactions: Transactions, clock: Callable[[], int], new_secret: NewSecret
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock
        self._new_secret = new_secret

    async def find(self, token: str) -> ApiKey | None:
        """The key with this secret, valid or not; None if there is none."""
        key = await self.look_up(token)
        now = self._clock()
        if key is not None and key.is_valid(now):
            await self._record_use(key, now)
        return key

    async def look_up(self, token: str) -> ApiKey | None:
        """The same without recording a use."""
        hashed = hash_of(token)
        row = await self._database.read(
            lambda connection: connection.execute(with_mode.where(api_keys.c.secret_hash == hashed)).one_or_none()
        )
        return None if row is None or not compare_digest(row.secret_hash, hashed) else to_key(row)

    async def _record_use(self, key: ApiKey, now: int) -> None:
        if key.last_used_at is not None and now < key.last_used_at + LAST_USED_STEP:
            return
        used = sa.update(api_keys).where(api_keys.c.id == key.id).values(last_used_at=now)
        with suppress(StoreFailed):  # A ledger too busy to record a use can still confirm that the key is valid.
            await self._database.write(lambda connection: connection.execute(used))

    async def create(self, command: Command, new: NewApiKey) -> tuple[ApiKey, str]:
        """The new key and its secret, which only this answer has: a repeated request is a Conflict naming the key."""
        secret = self._new_secret()
        done = await self._transactions.change(command, ApiKey, lambda work: create_key(work, new, secret))
        if done.is_replay:
            raise secret_shown_before(done.answer)
        return done.answer, new_token(done.answer.mode, lambda: secret)

    async def list(self, account: AccountId) -> Sequence[ApiKey]:
        """Oldest first, including revoked keys."""
        of_account = with_mode.where(api_keys.c.account_id == account).order_by(api_keys.c.created_at, api_keys.c.id)
        rows = await self._database.read(lambda connection: connection.execute(of_account).all())
        return [to_key(row) for row in rows]

    async def revoke(self, command: Command, key_id: str, *, force: bool = False) -> Applied[ApiKey]:
        """Raises NotFound, and Conflict for the last admin key unless forced. Revoking twice changes nothing."""
        return await self._transactions.change(command, ApiKey, lambda work: revoke_key(work, key_id, force=force))


def create_key(work: UnitOfWork, new: NewApiKey, secret: str) -> ApiKey:
    mode = work.connection.scalar(sa.select(accounts.c.mode).where(accounts.c.id == new.account))
    if mode is None:
        raise NotFound(f"there is no account {new.account}")
    token = new_token(Mode(mode), lambda: secret)
    key = new_key(new, token, key_id=work.new_id(), now=work.now)
    work.connection.execute(sa.insert(api_keys).values(key_values(key, token)))
    work.for_account(new.account).audit("key.create", key.id, after=key)
    return key


def revoke_key(work: UnitOfWork, key_id: str, *, force: bool) -> ApiKey:
    company = sa.select(accounts.c.company_id).where(accounts.c.id == work.account).scalar_subquery()
    of_company = with_mode.where(accounts.c.company_id == company).order_by(api_keys.c.id)
    # All keys are locked: of two last admins that revoke each other at once, one is refused.
    keys = [to_key(row) for row in work.connection.execute(of_company.with_for_update(of=api_keys))]
    before = next((key for key in keys if (key.id, key.account) == (key_id, work.account)), None)
    if before is None:
        raise key_not_found(key_id)
    if before.revoked_at is not None:
        return before
    if not force:
        check_admin_remains(before, keys, work.now)
    after = replace(before, revoked_at=work.now)
    work.connection.execute(sa.update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=work.now))
    work.audit("key.revoke", key_id, before, after)
    return after


def check_admin_remains(revoked: ApiKey, of_company: Iterable[ApiKey], now: int) -> None:
    """Raises Conflict if nobody could administer the account without `revoked` for as long as with it.

    A live admin key counts for the test account too, for which it can create keys.
    """
    if Scope.ADMIN not in revoked.scopes or not revoked.is_valid(now):
        return
    for key in of_company:
        reaches = key.account == revoked.account or key.mode is Mode.LIVE
        administers = key.id != revoked.id and reaches and Scope.ADMIN in key.scopes and key.is_valid(now)
        if administers and key.lasts_as_long_as(revoked):
            return
    raise Conflict(
        f"no other key with the scope 'admin' is valid as long as {revoked.id}: create one first with POST /v1/keys "
        "or revoke this one with force (`?force=true`, `--force`); then only `tallyhouse keys bootstrap`, on the "
        "machine that has the ledger, makes another",
        code="LAST_ADMIN_KEY",
    )


def new_key(new: NewApiKey, token: str, *, key_id: str, now: int) -> ApiKey:
    return ApiKey(
        id=key_id,
        account=new.account,
        mode=mode_of(token),
        name=new.name,
        prefix=token[:PREFIX_LENGTH],
        scopes=new.scopes,
        created_at=now,
        expires_at=new.expires_at,
    )


def secret_shown_before(key: ApiKey) -> Conflict:
    return Conflict(
        f"Idempotency-Key: it made the key {key.id} before, whose secret was shown in that answer and is kept nowhere; "
        "if it was lost, revoke that key and create another under a new Idempotency-Key",
        code="SECRET_SHOWN_ONCE",
        field="Idempotency-Key",
    )


def key_not_found(key_id: str) -> NotFound:
    return NotFound(f"there is no API key {key_id} in this account")


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
        "expires_at": key.expires_at,
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
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
