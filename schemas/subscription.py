"""Subscriptions as they are kept: which customer pays which version of which plan, since when, and until when."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from schemas.ids import AccountId
from schemas.plan import FixedFee, Overrides


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
