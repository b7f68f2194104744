"""`/v1/subscriptions`: subscriptions, their changes, and their documents."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Listed, Response, Success, listed
from ingest_gateway.http.idempotency import applied_response, command_of, replay_headers
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.http.validation import read_record
from rating.api.ports import Subscriptions
from rating.api.validation import check_instant, raise_if_any
from schemas.account import Scope
from schemas.errors import Invalid
from schemas.field_types import Id
from schemas.plan import Overrides
from schemas.plan_rules import check_overrides
from schemas.subscription import (
    Cancellation,
    ChangeTiming,
    NewSubscription,
    PlanChange,
    Refund,
    Status,
    Subscription,
    SubscriptionChanges,
    SubscriptionQuery,
)
from schemas.timestamps import iso_or_none, to_iso


class SubscriptionParameters(Paging, frozen=True, kw_only=True):
    """Which subscriptions."""

    customer_id: Id | None = None
    status: Status | None = None


class SubscriptionDocument(msgspec.Struct, kw_only=True):
    """A subscription. Its period is null until it begins, its renewal where there will be none."""

    id: str
    customer_id: str
    plan_code: str
    plan_version: int
    status: Status
    billing_anchor_day: int
    timezone: str
    start_date: str
    trial_end: str | None
    current_period_start: str | None
    current_period_end: str | None
    next_renewal_date: str | None
    cancel_at: str | None
    canceled_at: str | None
    ended_at: str | None
    previous_subscription_id: str | None
    overrides: Overrides
    metadata: dict[str, str]
    created_at: str
    updated_at: str


class OneSubscription(Success, kw_only=True):
    """One subscription."""

    subscription: SubscriptionDocument


class SubscriptionPage(Listed, kw_only=True):
    """One page of subscriptions."""

    subscriptions: list[SubscriptionDocument]


class ChangeStatus(StrEnum):
    """How far a change of plan is."""

    CHANGED = "changed"
    SCHEDULED = "scheduled"


class ChangedPlan(Success, kw_only=True):
    """The subscription that ends, and the one that follows it."""

    status: ChangeStatus
    old_subscription: SubscriptionDocument
    new_subscription: SubscriptionDocument


def subscription_document(subscription: Subscription) -> dict[str, Any]:
    has_begun = subscription.period_end > subscription.period_start
    renews = has_begun and subscription.status.is_live and subscription.cancel_at is None
    return {
        "id": subscription.id,
        "customer_id": subscription.customer_id,
        "plan_code": subscription.plan_code,
        "plan_version": subscription.plan_version,
        "status": subscription.status,
        "billing_anchor_day": subscription.billing_anchor_day,
        "timezone": subscription.timezone,
        "start_date": to_iso(subscription.start_at),
        "trial_end": iso_or_none(subscription.trial_end),
        "current_period_start": iso_or_none(subscription.period_start) if has_begun else None,
        "current_period_end": iso_or_none(subscription.period_end) if has_begun else None,
        "next_renewal_date": iso_or_none(subscription.period_end) if renews else None,
        "cancel_at": iso_or_none(subscription.cancel_at),
        "canceled_at": iso_or_none(subscription.canceled_at),
        "ended_at": iso_or_none(subscription.ended_at),
        "previous_subscription_id": subscription.previous_id,
        "overrides": msgspec.to_builtins(subscription.overrides, builtin_types=(Decimal,)),
        "metadata": subscription.metadata,
        "created_at": to_iso(subscription.created_at),
        "updated_at": to_iso(subscription.updated_at),
    }


ALL, ONE = "/v1/subscriptions", "/v1/subscriptions/{id}"


class SubscriptionRoutes:
    """Administrators subscribe customers to plans, readers see it."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    def routes(self) -> list[Route]:
        admin, read = Scope.ADMIN, Scope.READ
        creates = Description(
            "Subscribe a customer to a plan", body_type=NewSubscription, response_type=OneSubscription, status=201
        )
        lists = Description("List subscriptions", query_type=SubscriptionParameters, response_type=SubscriptionPage)
        updates = Description(
            "Change what is given of a subscription", body_type=SubscriptionChanges, response_type=OneSubscription
        )
        cancels = Description("Cancel a subscription", body_type=Cancellation, response_type=OneSubscription)
        changes = Description(
            "Change the plan: one subscription ends, another follows", body_type=PlanChange, response_type=ChangedPlan
        )
        return [
            Route("POST", ALL, admin, self.create, creates),
            Route("GET", ALL, read, self.index, lists),
            Route("GET", ONE, read, self.get, Description("Retrieve a subscription", response_type=OneSubscription)),
            Route("PATCH", ONE, admin, self.update, updates),
            Route("POST", f"{ONE}/cancel", admin, self.cancel, cancels),
            Route("POST", f"{ONE}/change-plan", admin, self.change_plan, changes),
        ]

    async def create(self, request: Request) -> Response:
        document = await request.document()
        new = read_record(document, NewSubscription)
        check_instant(new.start_date, "start_date")
        raise_if_any(check_overrides(new.overrides))
        done = await self._subscriptions.create(command_of(request, document), new)
        location = f"{ALL}/{done.answer.id}"
        return applied_response(
            request, done, status=201, location=location, subscription=subscription_document(done.answer)
        )

    async def index(self, request: Request) -> Response:
        asked = request.read_query(SubscriptionParameters)
        query = SubscriptionQuery(**{name: getattr(asked, name) for name in SubscriptionQuery.__struct_fields__})
        found = await self._subscriptions.list(request.account, query)
        shown, pagination = listed(found, subscription_document)
        return request.success(subscriptions=shown, pagination=pagination)

    async def get(self, request: Request) -> Response:
        found = await self._subscriptions.get(request.account, request.path_params["id"])
        return request.success(subscription=subscription_document(found))

    async def update(self, request: Request) -> Response:
        document = await request.document()
        changes = read_record(document, SubscriptionChanges)
        if changes.next_renewal_date is not UNSET:
            check_instant(changes.next_renewal_date, "next_renewal_date")
        if changes.overrides is not UNSET:
            raise_if_any(check_overrides(changes.overrides))
        done = await self._subscriptions.update(command_of(request, document), request.path_params["id"], changes)
        return applied_response(request, done, subscription=subscription_document(done.answer))

    async def cancel(self, request: Request) -> Response:
        document = await request.document()
        asked = read_record(document, Cancellation)
        check_refund(asked.cancel_mode, asked.cancel_now_prepaid_refund_policy)
        done = await self._subscriptions.cancel(command_of(request, document), request.path_params["id"], asked)
        return applied_response(request, done, subscription=subscription_document(done.answer))

    async def change_plan(self, request: Request) -> Response:
        document = await request.document()
        asked = read_record(document, PlanChange)
        check_refund(asked.change_mode, asked.cancel_now_prepaid_refund_policy)
        done = await self._subscriptions.change_plan(command_of(request, document), request.path_params["id"], asked)
        return request.success(
            headers=replay_headers(done),
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
