"""Credit grants in the ledger, and a customer's balances: its grants and what invoices below zero left."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from rating.ledger.balances import get_currency_balances
from rating.ledger.customers import get_customer
from rating.ledger.database import Database
from rating.ledger.subscription_rows import get_subscription
from rating.ledger.tables import credit_grants
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Applied, Command
from schemas.credit import CreditGrant, NewCreditGrant
from schemas.customer import Balance
from schemas.errors import Invalid
from schemas.ids import AccountId
from schemas.money import EXACT, to_major
from schemas.quantity import to_text


class SqlCredits:
    """The credit grants of all accounts."""

    def __init__(self, database: Database, transactions: Transactions, clock: Callable[[], int]) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock

    async def grant(self, command: Command, subscription_id: str, new: NewCreditGrant) -> Applied[CreditGrant]:
        """Raises NotFound, or Invalid if the expiry is past."""
        return await self._transactions.change(
            command, CreditGrant, lambda work: grant_credit(work, subscription_id, new)
        )

    async def balances(self, account: AccountId, customer_id: str) -> Sequence[Balance]:
        """By denomination, currencies first. Raises NotFound."""
        now = self._clock()

        def select(connection: sa.Connection) -> Sequence[Balance]:
            get_customer(connection, account, customer_id)
            return get_balances(connection, account, customer_id, now)

        return await self._database.read(select)


def grant_credit(work: UnitOfWork, subscription_id: str, new: NewCreditGrant) -> CreditGrant:
    subscription = get_subscription(work.connection, work.account, subscription_id)
    if new.expires_at is not None and new.expires_at <= work.now:
        raise Invalid("expires_at: this time is past; give a future time, or null", field="expires_at")
    grant = CreditGrant(
        id=work.new_id(),
        account=work.account,
        customer_id=subscription.customer_id,
        subscription_id=subscription_id,
        name=new.name,
        denomination=new.denomination,
        is_currency=new.currency_code is not None,
        amount=new.amount,
        expires_at=new.expires_at,
        created_at=work.now,
    )
    work.connection.execute(sa.insert(credit_grants).values(_values(grant)))
    work.audit("credit_grant.create", grant.id, after=grant)
    return grant


def get_balances(connection: sa.Connection, account: AccountId, customer_id: str, now: int) -> Sequence[Balance]:
    """The currency balances plus the unexpired grants, which count in full because nothing draws on them yet."""
    sums = dict[tuple[bool, str], Decimal]()
    for (_, currency), minor in get_currency_balances(connection, account, [customer_id]).items():
        if minor:
            sums[False, currency.lower()] = to_major(minor, currency)
    unexpired = credit_grants.c.expires_at.is_(None) | (credit_grants.c.expires_at > now)
    found = sa.select(credit_grants).where(credit_grants.c.customer_id == customer_id, unexpired)
    for row in connection.execute(found):
        key = not row.is_currency, row.denomination
        sums[key] = EXACT.add(sums.get(key, Decimal(0)), Decimal(row.amount))
    return [
        Balance(denomination=denomination, is_currency=not is_unit, amount=amount)
        for (is_unit, denomination), amount in sorted(sums.items())
    ]


def _values(grant: CreditGrant) -> dict[str, Any]:
    values = {name: getattr(grant, name) for name in CreditGrant.__struct_fields__ if name != "account"}
    return {**values, "account_id": grant.account, "amount": to_text(grant.amount)}
