"""Subscriptions as the API shows them."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from ingest_gateway.http.answers import Listed, Success
from schemas.plan import Overrides
from schemas.subscription import Status, Subscription
from schemas.timestamps import iso_or_none, to_iso


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
