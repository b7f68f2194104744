"""`/v1/subscriptions`: subscriptions, their changes, and their documents."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET

from ingest_gateway.http.envelope import Listed, Success
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.resource import RequestBody, Resource, page_of
from ingest_gateway.http.route import Route
from rating.api.ports import Subscriptions
from rating.api.validation import raise_if_any
from schemas.errors import Invalid
from schemas.field_types import Id
from schemas.plan import Overrides
from schemas.plan_rules import check_overrides
from schemas.subscription import (
    Cancellation,
    ChangeTiming,
    NewSubscription,
    PlanChange,
    PlanChangeResult,
    Refund,
    Status,
    Subscription,
    SubscriptionChanges,
    SubscriptionQuery,
)
from schemas.timestamps import iso_or_none, to_iso


class SubscriptionParameters(Paging, frozen=True, kw_only=True):
    """Filters of subscriptions."""

    customer_id: Id | None = None
    status: Status | None = None


class SubscriptionDocument(msgspec.Struct, kw_only=True):
    """A subscription. Its period is null until it begins; its renewal date is null if it will not renew."""

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
    """Whether a change of plan has happened or is scheduled."""

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


def subscription_routes(subscriptions: Subscriptions) -> list[Route]:
    """Administrators subscribe customers to plans, readers see subscriptions."""
    subscription = Resource.named("subscription", OneSubscription, subscription_document)
    return [
        subscription.create(
            ALL,
            "Subscribe a customer to a plan",
            RequestBody(NewSubscription, _checked_new),
            lambda command, _, new: subscriptions.create(command, new),
            location=lambda created: f"{ALL}/{created.id}",
        ),
        page_of("subscriptions", SubscriptionPage, subscription_document).query(
            ALL,
            "List subscriptions",
            SubscriptionParameters,
            lambda account, _, parameters: subscriptions.list(account, _query(parameters)),
        ),
        subscription.get(ONE, "Retrieve a subscription", lambda account, path: subscriptions.get(account, path["id"])),
        subscription.change(
            "PATCH",
            ONE,
            "Change given fields of a subscription",
            RequestBody(SubscriptionChanges, _checked_changes),
            lambda command, path, changes: subscriptions.update(command, path["id"], changes),
        ),
        subscription.change(
            "POST",
            f"{ONE}/cancel",
            "Cancel a subscription",
            RequestBody(Cancellation, _checked_cancellation),
            lambda command, path, cancellation: subscriptions.cancel(command, path["id"], cancellation),
        ),
        Resource(ChangedPlan, _changed_plan).change(
            "POST",
            f"{ONE}/change-plan",
            "Change the plan: one subscription ends, another follows",
            RequestBody(PlanChange, _checked_plan_change),
            lambda command, path, change: subscriptions.change_plan(command, path["id"], change),
        ),
    ]


def _query(parameters: SubscriptionParameters) -> SubscriptionQuery:
    return SubscriptionQuery(**{name: getattr(parameters, name) for name in SubscriptionQuery.__struct_fields__})


def _changed_plan(result: PlanChangeResult) -> dict[str, Any]:
    return {
        "status": ChangeStatus.SCHEDULED if result.is_scheduled else ChangeStatus.CHANGED,
        "old_subscription": subscription_document(result.old),
        "new_subscription": subscription_document(result.new),
    }


def _checked_new(new: NewSubscription) -> NewSubscription:
    raise_if_any(check_overrides(new.overrides))
    return new


def _checked_changes(changes: SubscriptionChanges) -> SubscriptionChanges:
    if changes.overrides is not UNSET:
        raise_if_any(check_overrides(changes.overrides))
    return changes


def _checked_cancellation(cancellation: Cancellation) -> Cancellation:
    _check_refund(cancellation.cancel_mode, cancellation.cancel_now_prepaid_refund_policy)
    return cancellation


def _checked_plan_change(change: PlanChange) -> PlanChange:
    _check_refund(change.change_mode, change.cancel_now_prepaid_refund_policy)
    return change


def _check_refund(mode: ChangeTiming | None, policy: Refund | None) -> None:
    """Raises Invalid."""
    if policy is not None and mode is not ChangeTiming.NOW:
        raise Invalid(
            "cancel_now_prepaid_refund_policy: only an end now leaves paid days unused; leave it out, or use mode now",
            field="cancel_now_prepaid_refund_policy",
        )
