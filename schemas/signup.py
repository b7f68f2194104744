"""Signup links: a plan offered to one customer, on a page where it can be taken."""

from collections.abc import Iterator

import msgspec

from schemas.customer import Customer
from schemas.field_types import Code, Id, Url
from schemas.ids import AccountId
from schemas.plan import PlanVersion
from schemas.price_rules import FieldError
from schemas.subscription import ChangeTiming, Refund
from schemas.timestamps import DAY

LINK_LIFETIME = DAY


class NewSignupLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link to be made."""

    customer_id: Id
    plan_code: Code
    success_url: Url | None = None
    """Where the customer is sent afterwards."""
    back_url: Url | None = None
    previous_subscription_id: Id | None = None
    """The subscription that the new one takes over from."""
    change_timing_mode: ChangeTiming | None = None
    cancel_now_prepaid_refund_policy: Refund | None = None


class SignupTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a link offers: kept as JSON text."""

    plan_code: str
    plan_version: int
    success_url: str | None
    back_url: str | None
    previous_subscription_id: str | None
    change_timing_mode: ChangeTiming | None
    cancel_now_prepaid_refund_policy: Refund | None


class SignupLink(SignupTerms, frozen=True, kw_only=True):
    """A link as kept, without its token."""

    id: str
    account: AccountId
    customer_id: str
    plan_id: str
    expires_at: int
    used_at: int | None
    subscription_id: str | None
    created_at: int


class CreatedSignupLink(msgspec.Struct, frozen=True, kw_only=True):
    """A new link, and its token this once."""

    link: SignupLink
    token: str


class SignupOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What a link's page shows."""

    link: SignupLink
    customer: Customer
    plan: PlanVersion
    """With what a pending subscription pays instead, where the link begins one."""


def check_signup(new: NewSignupLink) -> Iterator[FieldError]:
    """What is wrong with a link, besides what its types say."""
    if (new.previous_subscription_id is None) != (new.change_timing_mode is None):
        yield "change_timing_mode", "belongs to previous_subscription_id: give both, or neither"
    if new.cancel_now_prepaid_refund_policy is not None and new.change_timing_mode is not ChangeTiming.NOW:
        yield "cancel_now_prepaid_refund_policy", "only a change now leaves paid days unused; leave it out"
