"""Subscriptions in the ledger."""

import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.pages import newest_first
from rating.ledger.subscription_changes import cancel_subscription, update_subscription
from rating.ledger.subscription_creation import create_subscription
from rating.ledger.subscription_plan_change import change_plan
from rating.ledger.subscription_rows import selected, subscription_of, to_subscription
from rating.ledger.subscription_tables import subscriptions
from rating.ledger.unit_of_work import Works
from schemas.command import Act, Done
from schemas.ids import AccountId
from schemas.listing import Page
from schemas.subscribing import Cancellation, NewSubscription, PlanChange, SubscriptionChanges, SubscriptionQuery
from schemas.subscription import PlanChanged, Subscription


class SqlSubscriptions:
    """The subscriptions of all accounts, each seen by its own."""

    def __init__(self, database: Database, works: Works) -> None:
        self._database = database
        self._works = works

    async def create(self, act: Act, new: NewSubscription) -> Done[Subscription]:
        """Raises NotFound, or Conflict where the plan is not for this customer, or is subscribed to already."""
        return await self._works.change(act, Subscription, lambda work: create_subscription(work, new))

    async def update(self, act: Act, subscription_id: str, changes: SubscriptionChanges) -> Done[Subscription]:
        """Raises NotFound, or Conflict where its state forbids it."""
        return await self._works.change(
            act, Subscription, lambda work: update_subscription(work, subscription_id, changes)
        )

    async def cancel(self, act: Act, subscription_id: str, asked: Cancellation) -> Done[Subscription]:
        """Raises as `update` does."""
        return await self._works.change(
            act, Subscription, lambda work: cancel_subscription(work, subscription_id, asked)
        )

    async def change_plan(self, act: Act, subscription_id: str, asked: PlanChange) -> Done[PlanChanged]:
        """Raises as `create` and `update` do."""
        return await self._works.change(act, PlanChanged, lambda work: change_plan(work, subscription_id, asked))

    async def get(self, account: AccountId, subscription_id: str) -> Subscription:
        """Raises NotFound."""
        return await self._database.glance(lambda connection: subscription_of(connection, account, subscription_id))

    async def list(self, account: AccountId, query: SubscriptionQuery) -> Page:
        """Newest first."""
        rows = selected.where(subscriptions.c.account_id == account)
        if query.customer_id is not None:
            rows = rows.where(subscriptions.c.customer_id == query.customer_id)
        if query.status is not None:
            rows = rows.where(subscriptions.c.status == query.status.value)
        paging = query.limit, query.cursor

        def select(connection: sa.Connection) -> Page:
            return newest_first(connection, rows, subscriptions.c.id, paging, to_subscription)

        return await self._database.read(select)
