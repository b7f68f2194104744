"""What the routes of subscriptions need from inside."""

from typing import Protocol

from schemas.command import Applied, Command
from schemas.ids import AccountId
from schemas.listing import Page
from schemas.subscribing import Cancellation, NewSubscription, PlanChange, SubscriptionChanges, SubscriptionQuery
from schemas.subscription import PlanChangeResult, Subscription


class Subscriptions(Protocol):
    """Who pays which plan. Changes raise NotFound where there is no such subscription."""

    async def create(self, command: Command, new: NewSubscription) -> Applied[Subscription]:
        """Raises Conflict where the plan is not for this customer, or is subscribed to already."""
        ...

    async def update(
        self, command: Command, subscription_id: str, changes: SubscriptionChanges
    ) -> Applied[Subscription]:
        """Raises Conflict where its state forbids it."""
        ...

    async def cancel(self, command: Command, subscription_id: str, request: Cancellation) -> Applied[Subscription]:
        """Raises as `update` does."""
        ...

    async def change_plan(
        self, command: Command, subscription_id: str, request: PlanChange
    ) -> Applied[PlanChangeResult]:
        """Raises as `create` and `update` do."""
        ...

    async def get(self, account: AccountId, subscription_id: str) -> Subscription: ...

    async def list(self, account: AccountId, query: SubscriptionQuery) -> Page: ...
