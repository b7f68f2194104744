"""Plans in the ledger; `plan_versions` has their changes."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.plan_rows import get_plan, get_version, to_version, with_versions
from rating.ledger.plan_versions import add_version, archive_plan, create_plan, publish, replace_draft, update_plan
from rating.ledger.rows import newest_first
from rating.ledger.tables import plan_versions, plans
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Answer, Applied, Command
from schemas.errors import Invalid
from schemas.ids import AccountId
from schemas.listing import Page
from schemas.plan import PlanDefinition
from schemas.plan_catalog import NewPlan, NewVersion, Plan, PlanChanges, StoredPlanVersion


class SqlPlans:
    """The plans of all accounts."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def create(self, command: Command, new: NewPlan) -> Applied[Plan]:
        """Raises Conflict if the code is taken, or Invalid if a price does not fit its meter."""
        return await self._change(command, Plan, lambda work: create_plan(work, new))

    async def update(self, command: Command, code: str, changes: PlanChanges) -> Applied[Plan]:
        """Raises NotFound."""
        return await self._change(command, Plan, lambda work: update_plan(work, code, changes))

    async def archive(self, command: Command, code: str) -> Applied[Plan]:
        """Ends new subscriptions; existing ones continue. Archiving again changes nothing. Raises NotFound."""
        return await self._change(command, Plan, lambda work: archive_plan(work, code))

    async def add_version(self, command: Command, code: str, new: NewVersion) -> Applied[StoredPlanVersion]:
        """Raises NotFound, Conflict if there is a draft or the plan is archived, or Invalid as `create` does."""
        return await self._change(command, StoredPlanVersion, lambda work: add_version(work, code, new))

    async def replace(
        self, command: Command, code: str, version: int, definition: PlanDefinition
    ) -> Applied[StoredPlanVersion]:
        """Raises NotFound, Conflict if the version is published, or Invalid as `create` does."""

        def change(work: UnitOfWork) -> StoredPlanVersion:
            return replace_draft(work, code, version, definition)

        return await self._change(command, StoredPlanVersion, change)

    async def publish(self, command: Command, code: str, version: int) -> Applied[StoredPlanVersion]:
        """Raises as `replace` does."""
        return await self._change(command, StoredPlanVersion, lambda work: publish(work, code, version))

    async def get(self, account: AccountId, code: str) -> Plan:
        """Raises NotFound."""
        return await self._database.read(lambda connection: get_plan(connection, account, code))

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page:
        """Newest first, including archived plans."""

        def select(connection: sa.Connection) -> Page:
            rows = sa.select(plans).where(plans.c.account_id == account)
            found = newest_first(connection, rows, plans.c.id, (limit, cursor), lambda row: row)
            return msgspec.structs.replace(found, items=tuple(with_versions(connection, found.items)))

        return await self._database.read(select)

    async def version(self, account: AccountId, code: str, version: int) -> StoredPlanVersion:
        """Raises NotFound."""

        def select(connection: sa.Connection) -> StoredPlanVersion:
            return get_version(connection, get_plan(connection, account, code), version)

        return await self._database.read(select)

    async def versions(self, account: AccountId, code: str, limit: int, cursor: str | None) -> Page:
        """Newest first. Raises NotFound."""
        below = None if cursor is None else _number(cursor)

        def select(connection: sa.Connection) -> Page:
            plan = get_plan(connection, account, code)
            rows = sa.select(plan_versions).where(plan_versions.c.plan_id == plan.id)
            if below is not None:
                rows = rows.where(plan_versions.c.version < below)
            found = connection.execute(rows.order_by(plan_versions.c.version.desc()).limit(limit + 1)).all()
            items = tuple(to_version(plan, row) for row in found[:limit])
            return Page(items=items, next_cursor=str(items[-1].version) if len(found) > limit else None)

        return await self._database.read(select)

    async def _change(
        self, command: Command, kind: type[Answer], change: Callable[[UnitOfWork], Any]
    ) -> Applied[Answer]:
        return await self._transactions.change(command, kind, change)


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise Invalid("cursor: this is not one of ours; give the next_cursor of the page before", field="cursor")
    return int(cursor)
