"""Companies and their two accounts, live and test."""

from collections.abc import Callable

import sqlalchemy as sa

from rating.ledger.api_keys import NewSecret, hash_of, key_values, mode_of, new_key, new_token, to_key, with_mode
from rating.ledger.database import Database
from rating.ledger.tables import accounts, api_keys, companies, meter_sets
from rating.ledger.unit_of_work import UnitOfWork
from schemas.account import ApiKey, Mode, NewApiKey, Scope
from schemas.command import Command
from schemas.errors import Conflict, NotFound
from schemas.ids import AccountId

FIRST_COMPANY = "First company"
FIRST_KEY = "bootstrap"
_SHOWN = 3
FIRST_SCOPES = frozenset({Scope.ADMIN, Scope.BACKFILL})


class SqlAccounts:
    """Companies, and the live and test account of each."""

    def __init__(
        self, database: Database, clock: Callable[[], int], new_id: Callable[[], str], new_secret: NewSecret
    ) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._new_secret = new_secret

    async def bootstrap(self, token: str | None) -> tuple[ApiKey, str] | None:
        """On an empty ledger, makes the first company and its admin key (with `token`, if given). Otherwise None."""
        mode = Mode.LIVE if token is None else mode_of(token)
        token = token or new_token(mode, self._new_secret)
        return await self._database.write(lambda connection: self._create_first_company(connection, mode, token))

    def _create_first_company(self, connection: sa.Connection, mode: Mode, token: str) -> tuple[ApiKey, str] | None:
        # Of two processes that start on one empty ledger, the second waits here, and then finds a company.
        connection.execute(sa.select(meter_sets.c.version).with_for_update())
        if connection.scalar(sa.select(companies.c.id).limit(1)) is not None:
            return None
        now = self._clock()
        siblings = self._add_company(connection, now)
        first = NewApiKey(account=siblings[mode], name=FIRST_KEY, scopes=FIRST_SCOPES)
        key = new_key(first, token, key_id=self._new_id(), now=now)
        connection.execute(sa.insert(api_keys).values(key_values(key, token)))
        return key, token

    async def make_admin_key(self, token: str | None, *, force: bool) -> tuple[ApiKey, str]:
        """An admin key of the first company (with `token`, if given), for an operator who holds the ledger itself.

        Raises Conflict while another admin key of that account is valid, unless forced, and for a token that was used.
        """
        mode = Mode.LIVE if token is None else mode_of(token)
        token = token or new_token(mode, self._new_secret)
        return await self._database.write(
            lambda connection: self._create_admin_key(connection, mode, token, force=force)
        )

    def _create_admin_key(
        self, connection: sa.Connection, mode: Mode, token: str, *, force: bool
    ) -> tuple[ApiKey, str]:
        made = self._create_first_company(connection, mode, token)
        if made is not None:
            return made
        oldest = sa.select(accounts.c.company_id).order_by(accounts.c.created_at, accounts.c.company_id).limit(1)
        of_mode = (accounts.c.company_id == oldest.scalar_subquery()) & (accounts.c.mode == mode.value)
        account = AccountId(str(connection.scalar(sa.select(accounts.c.id).where(of_mode))))
        now = self._clock()
        keys = [to_key(row) for row in connection.execute(with_mode.where(api_keys.c.account_id == account))]
        if connection.scalar(sa.select(api_keys.c.id).where(api_keys.c.secret_hash == hash_of(token))) is not None:
            raise Conflict("the ledger knows this key already, and no key is made twice: set another one, or none")
        working = [key for key in keys if Scope.ADMIN in key.scopes and key.is_valid(now)]
        if working and not force:
            names = ", ".join(f"{key.id} ({key.name}, {key.prefix}…)" for key in working[:_SHOWN])
            raise Conflict(
                f"the ledger has working admin keys: {names}; make another with one of them (`tallyhouse keys create`) "
                "or repeat this with --force if they are lost, and revoke them afterwards"
            )
        key = new_key(
            NewApiKey(account=account, name=FIRST_KEY, scopes=FIRST_SCOPES), token, key_id=self._new_id(), now=now
        )
        connection.execute(sa.insert(api_keys).values(key_values(key, token)))
        command = Command(account=account, actor=FIRST_KEY, request_id="")
        UnitOfWork(connection, command, now, self._new_id).audit("key.create", key.id, after=key)
        return key, token

    def _add_company(self, connection: sa.Connection, now: int) -> dict[Mode, AccountId]:
        company = self._new_id()
        siblings = {mode: AccountId(self._new_id()) for mode in Mode}
        connection.execute(sa.insert(companies).values(id=company, name=FIRST_COMPANY, created_at=now))
        for mode, account in siblings.items():
            connection.execute(
                sa.insert(accounts).values(id=account, company_id=company, mode=mode.value, created_at=now)
            )
        return siblings

    async def account_for(self, sibling: AccountId, mode: Mode) -> AccountId:
        """The account of the same company in the given mode. Raises NotFound."""
        company = sa.select(accounts.c.company_id).where(accounts.c.id == sibling).scalar_subquery()
        of_mode = sa.select(accounts.c.id).where(accounts.c.company_id == company, accounts.c.mode == mode.value)
        account = await self._database.read(lambda connection: connection.scalar(of_mode))
        if account is None:
            raise NotFound(f"there is no account {sibling}")
        return AccountId(account)
