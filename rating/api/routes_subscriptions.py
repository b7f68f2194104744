"""`/v1/subscriptions`: who pays which plan, since when, and until when."""

from msgspec import UNSET

from ingest_gateway.http.answers import listed
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.idempotency import act_of, answer, replayed
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.http.validation import read_record
from rating.api.queries import SubscriptionParameters
from rating.api.subscription_documents import (
    ChangedPlan,
    ChangeStatus,
    OneSubscription,
    SubscriptionPage,
    subscription_document,
)
from rating.api.subscription_ports import Subscriptions
from rating.api.validation import check_instant, refuse
from schemas.account import Scope
from schemas.errors import Invalid
from schemas.plan_rules import check_overrides
from schemas.subscribing import (
    Cancellation,
    ChangeTiming,
    NewSubscription,
    PlanChange,
    Refund,
    SubscriptionChanges,
    SubscriptionQuery,
)

ALL, ONE = "/v1/subscriptions", "/v1/subscriptions/{id}"


class SubscriptionRoutes:
    """Administrators subscribe customers to plans, readers see it."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    def endpoints(self) -> list[Endpoint]:
        admin, read = Scope.ADMIN, Scope.READ
        creates = About("Subscribe a customer to a plan", takes=NewSubscription, gives=OneSubscription, status=201)
        lists = About("List subscriptions", asks=SubscriptionParameters, gives=SubscriptionPage)
        updates = About("Change what is given of a subscription", takes=SubscriptionChanges, gives=OneSubscription)
        cancels = About("Cancel a subscription", takes=Cancellation, gives=OneSubscription)
        changes = About("Change the plan: one subscription ends, another follows", takes=PlanChange, gives=ChangedPlan)
        return [
            Endpoint("POST", ALL, admin, self.create, creates),
            Endpoint("GET", ALL, read, self.index, lists),
            Endpoint("GET", ONE, read, self.get, About("Retrieve a subscription", gives=OneSubscription)),
            Endpoint("PATCH", ONE, admin, self.update, updates),
            Endpoint("POST", f"{ONE}/cancel", admin, self.cancel, cancels),
            Endpoint("POST", f"{ONE}/change-plan", admin, self.change_plan, changes),
        ]

    async def create(self, call: Call) -> Reply:
        document = await call.document()
        new = read_record(document, NewSubscription)
        check_instant(new.start_date, "start_date")
        refuse(check_overrides(new.overrides))
        done = await self._subscriptions.create(act_of(call, document), new)
        location = f"{ALL}/{done.answer.id}"
        return answer(call, done, status=201, location=location, subscription=subscription_document(done.answer))

    async def index(self, call: Call) -> Reply:
        asked = call.asked(SubscriptionParameters)
        query = SubscriptionQuery(**{name: getattr(asked, name) for name in SubscriptionQuery.__struct_fields__})
        found = await self._subscriptions.list(call.account, query)
        shown, pagination = listed(found, subscription_document)
        return call.success(subscriptions=shown, pagination=pagination)

    async def get(self, call: Call) -> Reply:
        found = await self._subscriptions.get(call.account, call.path["id"])
        return call.success(subscription=subscription_document(found))

    async def update(self, call: Call) -> Reply:
        document = await call.document()
        changes = read_record(document, SubscriptionChanges)
        if changes.next_renewal_date is not UNSET:
            check_instant(changes.next_renewal_date, "next_renewal_date")
        if changes.overrides is not UNSET:
            refuse(check_overrides(changes.overrides))
        done = await self._subscriptions.update(act_of(call, document), call.path["id"], changes)
        return answer(call, done, subscription=subscription_document(done.answer))

    async def cancel(self, call: Call) -> Reply:
        document = await call.document()
        asked = read_record(document, Cancellation)
        check_refund(asked.cancel_mode, asked.cancel_now_prepaid_refund_policy)
        done = await self._subscriptions.cancel(act_of(call, document), call.path["id"], asked)
        return answer(call, done, subscription=subscription_document(done.answer))

    async def change_plan(self, call: Call) -> Reply:
        document = await call.document()
        asked = read_record(document, PlanChange)
        check_refund(asked.change_mode, asked.cancel_now_prepaid_refund_policy)
        done = await self._subscriptions.change_plan(act_of(call, document), call.path["id"], asked)
        return call.success(
            headers=replayed(done),
            status=ChangeStatus.SCHEDULED if done.answer.is_scheduled else ChangeStatus.CHANGED,
            old_subscription=subscription_document(done.answer.old),
            new_subscription=subscription_document(done.answer.new),
        )


def check_refund(mode: ChangeTiming | None, policy: Refund | None) -> None:
    """Raises Invalid."""
    if policy is not None and mode is not ChangeTiming.NOW:
        raise Invalid(
            "cancel_now_prepaid_refund_policy: only an end now leaves paid days unused; leave it out, or use mode now",
            field="cancel_now_prepaid_refund_policy",
        )
