"""The billing settings of an account."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict, replace

from rating.core.local_time import zone
from rating.ledger.database import Database
from rating.ledger.rows import set_fields
from rating.ledger.tables import accounts, billing_settings
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.billing_settings import BillingSettings, LateUsage, SettingsChanges
from schemas.command import Applied, Command
from schemas.ids import AccountId
from schemas.money import exponent


class SqlBillingSettings:
    """The settings of all accounts."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def get(self, account: AccountId) -> BillingSettings:
        """The settings in force: defaults if the account has not set any."""
        return await self._database.read_inline(lambda connection: get_settings(connection, account))

    async def update(self, command: Command, changes: SettingsChanges) -> Applied[BillingSettings]:
        """Raises Invalid if there is no such currency or time zone."""
        return await self._transactions.change(command, BillingSettings, lambda work: update_settings(work, changes))


def get_settings(connection: sa.Connection, account: AccountId) -> BillingSettings:
    row = connection.execute(sa.select(billing_settings).where(billing_settings.c.account_id == account)).one_or_none()
    return BillingSettings() if row is None else _to_settings(row)


def get_late_usage(connection: sa.Connection, account_ids: Collection[AccountId]) -> dict[AccountId, LateUsage]:
    """What each account wants done with late usage."""
    row = billing_settings.c
    found = connection.execute(sa.select(row.account_id, row.late_usage).where(row.account_id.in_(account_ids)))
    chosen = {AccountId(account): LateUsage(late_usage) for account, late_usage in found}
    return dict.fromkeys(account_ids, BillingSettings().late_usage) | chosen


def update_settings(work: UnitOfWork, changes: SettingsChanges) -> BillingSettings:
    # Concurrent changes wait for one another here, even before the account has a row.
    work.connection.execute(
        sa.select(accounts.c.id).where(accounts.c.id == work.account).with_for_update(key_share=True)
    )
    before = get_settings(work.connection, work.account)
    after = replace(before, **set_fields(changes))
    exponent(after.currency)
    zone(after.timezone)
    this = billing_settings.c.account_id == work.account
    work.connection.execute(sa.delete(billing_settings).where(this))
    row = {**asdict(after), "late_usage": after.late_usage.value, "account_id": work.account, "updated_at": work.now}
    work.connection.execute(sa.insert(billing_settings).values(row))
    work.audit("settings.update", work.account, before, after)
    return after


def _to_settings(row: Any) -> BillingSettings:
    fields = {name: getattr(row, name) for name in BillingSettings.__struct_fields__}
    return BillingSettings(**fields | {"late_usage": LateUsage(row.late_usage)})
