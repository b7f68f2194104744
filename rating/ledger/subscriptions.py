"""Subscriptions in the ledger, through all their changes."""

import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.rows import newest_first
from rating.ledger.subscription_changes import cancel_subscription, update_subscription
from rating.ledger.subscription_creation import create_subscription
from rating.ledger.subscription_plan_change import change_plan
from rating.ledger.subscription_rows import get_subscription, select_subscriptions, to_subscription
from rating.ledger.tables import subscriptions
from rating.ledger.unit_of_work import Transactions
from schemas.command import Applied, Command
from schemas.ids import AccountId
from schemas.listing import Page
from schemas.subscription import (
    Cancellation,
    NewSubscription,
    PlanChange,
    PlanChangeResult,
    Subscription,
    SubscriptionChanges,
    SubscriptionQuery,
)


class SqlSubscriptions:
    """The subscriptions of all accounts."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def create(self, command: Command, new: NewSubscription) -> Applied[Subscription]:
        """Raises NotFound, or Conflict if the customer cannot have the plan, or has it already."""
        return await self._transactions.change(command, Subscription, lambda work: create_subscription(work, new))

    async def update(
        self, command: Command, subscription_id: str, changes: SubscriptionChanges
    ) -> Applied[Subscription]:
        """Raises NotFound, or Conflict if the subscription's status forbids it."""
        return await self._transactions.change(
            command, Subscription, lambda work: update_subscription(work, subscription_id, changes)
        )

    async def cancel(self, command: Command, subscription_id: str, request: Cancellation) -> Applied[Subscription]:
        """Raises as `update` does."""
        return await self._transactions.change(
            command, Subscription, lambda work: cancel_subscription(work, subscription_id, request)
        )

    async def change_plan(
        self, command: Command, subscription_id: str, request: PlanChange
    ) -> Applied[PlanChangeResult]:
        """Raises as `create` and `update` do."""
        return await self._transactions.change(
            command, PlanChangeResult, lambda work: change_plan(work, subscription_id, request)
        )

    async def get(self, account: AccountId, subscription_id: str) -> Subscription:
        """Raises NotFound."""
        return await self._database.read_inline(
            lambda connection: get_subscription(connection, account, subscription_id)
        )

    async def list(self, account: AccountId, query: SubscriptionQuery) -> Page:
        """Newest first."""
        rows = select_subscriptions.where(subscriptions.c.account_id == account)
        if query.customer_id is not None:
            rows = rows.where(subscriptions.c.customer_id == query.customer_id)
        if query.status is not None:
            rows = rows.where(subscriptions.c.status == query.status.value)
        paging = query.limit, query.cursor

        def select(connection: sa.Connection) -> Page:
            return newest_first(connection, rows, subscriptions.c.id, paging, to_subscription)

        return await self._database.read(select)
