"""Subscriptions: the requests that create, change, cancel and list them, and the stored records."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.field_types import Code, Id, Metadata
from schemas.ids import AccountId
from schemas.plan import FixedFee, Overrides, TrialDays


class Status(StrEnum):
    """What a subscription is; `rating.core.subscription_lifecycle` tells what it can become."""

    PENDING = "pending"
    """Not begun: nothing is billed."""
    TRIALING = "trialing"
    """Begun, and free until the trial ends."""
    ACTIVE = "active"
    CANCELED = "canceled"
    """Over. Nothing comes after it."""

    @property
    def is_live(self) -> bool:
        return self is not Status.CANCELED


class UnusedPrepayment(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid in advance to the subscription before, for days that this one charges too."""

    fees: tuple[FixedFee, ...]
    """As they were billed."""
    start: int
    end: int
    days: int
    period_days: int


class SubscriptionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a subscription besides what is asked for: kept as JSON text."""

    metadata: Mapping[str, str] = {}
    overrides: Overrides = Overrides()
    trial_days: int = 0
    """The trial that it begins with."""
    anchor_at: int | None = None
    """The moment from which boundaries are reckoned; None until it begins."""
    full_start: int = 0
    full_end: int = 0
    """The whole calendar period of which the current one is all or a part."""
    prepaid_until: int | None = None
    """Fees in advance are billed up to here; None until the first of them are."""
    prepaid_under: Overrides | None = None
    """What those fees were billed by, whatever the overrides have become since."""
    brought: UnusedPrepayment | None = None
    """Given back with the first fees: a change of plan is one invoice."""
    refunds: bool = False
    """What was paid for days after the end is given back."""
    ends_by_change: bool = False
    """Another subscription takes over, on the day of the end already."""
    next_id: str | None = None
    """The one that takes over."""


class Subscription(SubscriptionDetails, frozen=True, kw_only=True):
    """A subscription as kept."""

    id: str
    account: AccountId
    customer_id: str
    plan_id: str
    plan_code: str
    plan_version: int
    status: Status
    billing_anchor_day: int
    timezone: str
    """In which the current period's days are counted."""
    start_at: int
    trial_end: int | None
    period_start: int
    period_end: int
    """The current period, half-open; empty while pending."""
    cancel_at: int | None
    """The end of its last period: the current one, or one that follows it where a run is late."""
    canceled_at: int | None
    ended_at: int | None
    previous_id: str | None
    due_at: int | None
    """When a run has something to do with it; None where there is nothing more to bill."""
    created_at: int
    updated_at: int

    @property
    def in_trial(self) -> bool:
        """Is the current period the trial?"""
        return self.trial_end is not None and self.period_start < self.trial_end

    @property
    def awaits_late_usage(self) -> bool:
        """Is its end billed, and is it due only for usage that may have come late?"""
        return self.ended_at is not None and self.due_at is not None and self.due_at > self.ended_at

    @property
    def ends_at(self) -> int | None:
        """When it ends or ended; None where nobody has asked for that."""
        return self.cancel_at if self.ended_at is None else self.ended_at


class PlanChangeResult(msgspec.Struct, frozen=True, kw_only=True):
    """A change of plan: the one subscription ends, the other begins."""

    is_scheduled: bool
    old: Subscription
    new: Subscription


AwareDatetime = Annotated[datetime, Meta(tz=True)]
"""ISO 8601 with an offset."""
AnchorDay = Annotated[int, Meta(ge=1, le=31, description="A day that a month lacks is its last one.")]
VersionNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class ChangeTiming(StrEnum):
    """When an end or a change takes effect."""

    NOW = "now"
    END_OF_PERIOD = "end_of_period"


class Refund(StrEnum):
    """What becomes of fees that were paid in advance for days after the end."""

    PRORATE = "prorate"
    """They are given back, day by day."""
    NONE = "none"


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subscription to be made."""

    customer_id: Id
    plan_code: Code
    plan_version: VersionNumber | None = None
    """The newest published one where it is not given."""
    start_date: AwareDatetime | None = None
    """Now where it is not given."""
    billing_anchor_day: AnchorDay = 1
    initial_status: Literal["pending", "active"] = "pending"
    trial_days: TrialDays | None = None
    """The plan's where it is not given."""
    overrides: Overrides = Overrides()
    metadata: Metadata = {}


class SubscriptionChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; the rest stays."""

    billing_anchor_day: AnchorDay | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    next_renewal_date: AwareDatetime | UnsetType | None = UNSET
    overrides: Overrides | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class Cancellation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to end, and what is given back; only an end now can leave something to give back."""

    cancel_mode: ChangeTiming
    cancel_now_prepaid_refund_policy: Refund | None = None
    """`none` where it is not given."""


class PlanChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which plan to change to, when, and what is given back of the old one's fees."""

    target_plan_code: Code
    target_plan_version: VersionNumber | None = None
    """The newest published one where it is not given."""
    change_mode: ChangeTiming
    cancel_now_prepaid_refund_policy: Refund | None = None
    """`prorate` where it is not given: nobody pays the same days twice."""


class SubscriptionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which subscriptions to list, newest first."""

    customer_id: str | None = None
    status: Status | None = None
    limit: int = 50
    cursor: str | None = None
