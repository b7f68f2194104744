"""Companies and their two accounts, live and test."""

from collections.abc import Callable

import sqlalchemy as sa

from rating.ledger.api_keys import NewSecret, key_values, mode_of, new_key, new_token
from rating.ledger.database import Database
from rating.ledger.tables import accounts, api_keys, companies, meter_sets
from schemas.account import ApiKey, Mode, NewApiKey, Scope
from schemas.errors import NotFound
from schemas.ids import AccountId

FIRST_COMPANY = "First company"
FIRST_KEY = "bootstrap"
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
