"""What is asked of subscriptions: to begin, to change, to end."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.field_types import Code, Id, Metadata
from schemas.plan import Overrides, TrialDays
from schemas.subscription import Status

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
