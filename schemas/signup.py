"""Signup links: a plan offered to one customer, on a page where the customer can accept it."""

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
    """A request to create a link."""

    customer_id: Id
    plan_code: Code
    success_url: Url | None = None
    """The page that the customer is redirected to after accepting."""
    back_url: Url | None = None
    previous_subscription_id: Id | None = None
    """The subscription that the new one replaces."""
    change_timing_mode: ChangeTiming | None = None
    cancel_now_prepaid_refund_policy: Refund | None = None


class SignupTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a link, stored as JSON text."""

    plan_code: str
    plan_version: int
    success_url: str | None
    back_url: str | None
    previous_subscription_id: str | None
    change_timing_mode: ChangeTiming | None
    cancel_now_prepaid_refund_policy: Refund | None


class SignupLink(SignupTerms, frozen=True, kw_only=True):
    """A stored link, without its token."""

    id: str
    account: AccountId
    customer_id: str
    plan_id: str
    expires_at: int
    used_at: int | None
    subscription_id: str | None
    created_at: int


class CreatedSignupLink(msgspec.Struct, frozen=True, kw_only=True):
    """A new link with its token, which cannot be read again."""

    link: SignupLink
    token: str


class SignupOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page of a link shows."""

    link: SignupLink
    customer: Customer
    plan: PlanVersion
    """Includes the overrides of the pending subscription, if the link starts one."""


def check_signup(new: NewSignupLink) -> Iterator[FieldError]:
    """The errors of a link that its types do not exclude."""
    if (new.previous_subscription_id is None) != (new.change_timing_mode is None):
        yield "change_timing_mode", "belongs to previous_subscription_id: give both, or neither"
    if new.cancel_now_prepaid_refund_policy is not None and new.change_timing_mode is not ChangeTiming.NOW:
        yield "cancel_now_prepaid_refund_policy", "only a change now leaves paid days unused; leave it out"
