"""Subscriptions: the requests that create, change, cancel and list them, and the stored records."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.field_types import Code, Id, Metadata
from schemas.ids import AccountId
from schemas.moments import Moment
from schemas.plan import FixedFee, Overrides, TrialDays


class Status(StrEnum):
    """The state of a subscription; `rating.core.subscription_lifecycle` has the transitions."""

    PENDING = "pending"
    """Not started: nothing is billed."""
    TRIALING = "trialing"
    """Started, and free until the trial ends."""
    ACTIVE = "active"
    CANCELED = "canceled"
    """Ended; a final state."""

    @property
    def is_live(self) -> bool:
        return self is not Status.CANCELED


class UnusedPrepayment(msgspec.Struct, frozen=True, kw_only=True):
    """Fees paid in advance for the previous subscription, for days that this one charges too."""

    fees: tuple[FixedFee, ...]
    """The fees as billed."""
    start: int
    end: int
    days: int
    period_days: int


class SubscriptionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a subscription that no query filters by, stored as JSON text."""

    metadata: Mapping[str, str] = {}
    overrides: Overrides = Overrides()
    trial_days: int = 0
    """The length of the trial at its start."""
    anchor_at: int | None = None
    """The moment from which period boundaries are calculated; None until the subscription starts."""
    full_start: int = 0
    full_end: int = 0
    """The whole calendar period that contains the current one."""
    prepaid_until: int | None = None
    """Fees in advance are billed up to this time; None until the first are billed."""
    prepaid_under: Overrides | None = None
    """The overrides by which those fees were billed, whatever has changed since."""
    brought: UnusedPrepayment | None = None
    """Refunded with the first fees: a change of plan is one invoice."""
    refunds: bool = False
    """Fees paid for days after the end are refunded."""
    ends_by_change: bool = False
    """Another subscription replaces this one, from the day of the end on."""
    next_id: str | None = None
    """The subscription that replaces this one."""


class Subscription(SubscriptionDetails, frozen=True, kw_only=True):
    """A stored subscription."""

    id: str
    account: AccountId
    customer_id: str
    plan_id: str
    plan_code: str
    plan_version: int
    status: Status
    billing_anchor_day: int
    timezone: str
    """The time zone in which the days of the current period are counted."""
    start_at: int
    trial_end: int | None
    period_start: int
    period_end: int
    """The current period, half-open; empty while pending."""
    cancel_at: int | None
    """The end of the last period: the current one, or a later one if invoice runs are behind."""
    canceled_at: int | None
    ended_at: int | None
    previous_id: str | None
    due_at: int | None
    """When an invoice run must take its next cycle step; None if nothing is left to bill."""
    created_at: int
    updated_at: int

    @property
    def in_trial(self) -> bool:
        """True if the current period is the trial."""
        return self.trial_end is not None and self.period_start < self.trial_end

    @property
    def awaits_late_usage(self) -> bool:
        """True if the end is billed and the subscription is due only for late usage."""
        return self.ended_at is not None and self.due_at is not None and self.due_at > self.ended_at

    @property
    def ends_at(self) -> int | None:
        """When it ends or ended; None if it was not cancelled."""
        return self.cancel_at if self.ended_at is None else self.ended_at


class PlanChangeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a change of plan: the old subscription ends, the new one starts."""

    is_scheduled: bool
    old: Subscription
    new: Subscription


AnchorDay = Annotated[int, Meta(ge=1, le=31, description="A day that a month lacks is its last one.")]
VersionNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class ChangeTiming(StrEnum):
    """When a cancellation or a change takes effect."""

    NOW = "now"
    END_OF_PERIOD = "end_of_period"


class Refund(StrEnum):
    """How fees paid in advance for days after the end are refunded."""

    PRORATE = "prorate"
    """In proportion to the days after the end."""
    NONE = "none"


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to create a subscription."""

    customer_id: Id
    plan_code: Code
    plan_version: VersionNumber | None = None
    """The newest published version if it is not given."""
    start_date: Moment | None = None
    """Now if it is not given."""
    billing_anchor_day: AnchorDay = 1
    initial_status: Literal["pending", "active"] = "pending"
    trial_days: TrialDays | None = None
    """The plan's trial if it is not given."""
    overrides: Overrides = Overrides()
    metadata: Metadata = {}


class SubscriptionChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partial update: absent fields stay as they are."""

    billing_anchor_day: AnchorDay | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    next_renewal_date: Moment | UnsetType | None = UNSET
    overrides: Overrides | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class Cancellation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to cancel. Only a cancellation that takes effect now can leave fees to refund."""

    cancel_mode: ChangeTiming
    cancel_now_prepaid_refund_policy: Refund | None = None
    """`none` if it is not given."""


class PlanChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change the plan: to which one, when, and how fees of the old one are refunded."""

    target_plan_code: Code
    target_plan_version: VersionNumber | None = None
    """The newest published version if it is not given."""
    change_mode: ChangeTiming
    cancel_now_prepaid_refund_policy: Refund | None = None
    """`prorate` if it is not given, so that no day is paid twice."""


class SubscriptionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A listing of subscriptions, newest first."""

    customer_id: str | None = None
    status: Status | None = None
    limit: int = 50
    cursor: str | None = None
