"""Creating a subscription, and starting it."""

import msgspec

from rating.core.subscription_cycle import started
from rating.ledger.customers import get_customer
from rating.ledger.plan_rows import get_plan, get_version, get_versions
from rating.ledger.subscription_rows import (
    get_subscription,
    get_timezone,
    insert_subscription,
    list_live_subscriptions,
    save_subscription,
)
from rating.ledger.unit_of_work import UnitOfWork
from schemas.customer import Customer
from schemas.errors import Conflict, Invalid
from schemas.plan import Overrides, PlanDefinition
from schemas.plan_catalog import Plan, StoredPlanVersion
from schemas.plan_rules import check_override_codes
from schemas.subscription import NewSubscription, Status, Subscription
from schemas.timestamps import to_iso


def create_subscription(work: UnitOfWork, new: NewSubscription) -> Subscription:
    customer = get_customer(work.connection, work.account, new.customer_id, lock=True)
    plan = get_plan(work.connection, work.account, new.plan_code)
    version = offered_version(work, plan, new.plan_version)
    check_currency(customer, version)
    check_overrides_of(new.overrides, version)
    check_not_subscribed(work, customer, plan)
    trial_days = version.trial_days if new.trial_days is None else new.trial_days
    start = work.now if new.start_date is None else new.start_date
    made = new_subscription(work, customer, plan, version, start)
    made = msgspec.structs.replace(
        made,
        billing_anchor_day=new.billing_anchor_day,
        trial_days=trial_days,
        overrides=new.overrides,
        metadata=new.metadata,
    )
    if new.initial_status == "active":
        made = started(made, version, start, work.now)
    return insert_subscription(work, made)


def new_subscription(
    work: UnitOfWork, customer: Customer, plan: Plan, version: StoredPlanVersion, start: int
) -> Subscription:
    """A pending subscription, not stored yet."""
    return Subscription(
        id=work.new_id(),
        account=work.account,
        customer_id=customer.id,
        plan_id=plan.id,
        plan_code=plan.code,
        plan_version=version.version,
        status=Status.PENDING,
        billing_anchor_day=1,
        timezone=get_timezone(work.connection, customer),
        start_at=start,
        trial_end=None,
        period_start=start,
        period_end=start,
        cancel_at=None,
        canceled_at=None,
        ended_at=None,
        previous_id=None,
        due_at=None,
        created_at=work.now,
        updated_at=work.now,
    )


def start_pending(work: UnitOfWork, pending: Subscription) -> Subscription:
    """Started now, or on a start date in the future: no time before that is billed. Raises Conflict."""
    _check_no_change_scheduled(work, pending)
    customer = get_customer(work.connection, work.account, pending.customer_id)
    in_zone = msgspec.structs.replace(pending, timezone=get_timezone(work.connection, customer))
    return started(in_zone, get_plan_version(work, pending), max(pending.start_at, work.now), work.now)


def start_successor(work: UnitOfWork, subscription_id: str, start: int) -> Subscription:
    """Starts the pending successor of a subscription at that subscription's end."""
    pending = get_subscription(work.connection, work.account, subscription_id, lock=True)
    if pending.status is not Status.PENDING:
        return pending
    return save_subscription(
        work, "subscription.begin", pending, started(pending, get_plan_version(work, pending), start, work.now)
    )


def get_plan_version(work: UnitOfWork, subscription: Subscription) -> StoredPlanVersion:
    key = subscription.plan_id, subscription.plan_version
    return get_versions(work.connection, [key])[key]


def offered_version(work: UnitOfWork, plan: Plan, number: int | None = None) -> StoredPlanVersion:
    """The version to subscribe to, by default the newest. Raises NotFound, or Conflict if it is not on offer."""
    if plan.archived_at is not None:
        raise Conflict(f"plan {plan.code!r} is archived: it takes no new subscriptions", code="PLAN_ARCHIVED")
    version = plan.newest_version if number is None else get_version(work.connection, plan, number)
    if version is None or version.published_at is None:
        draft = version or plan.draft_version
        which = 1 if draft is None else draft.version
        raise Conflict(
            f"version {which} of plan {plan.code!r} is a draft; publish it first with "
            f"POST /v1/plans/{plan.code}/versions/{which}/publish",
            code="PLAN_NOT_PUBLISHED",
        )
    return version


def check_currency(customer: Customer, plan: PlanDefinition) -> None:
    if customer.currency not in (None, plan.currency):
        raise Conflict(
            f"customer {customer.id} is billed in {customer.currency} and the plan costs {plan.currency}; nothing is "
            "ever converted: choose a plan in the customer's currency, or change that",
            code="CURRENCY_MISMATCH",
        )


def check_not_subscribed(work: UnitOfWork, customer: Customer, plan: Plan, *, but: str | None = None) -> None:
    """Raises Conflict. `but` is the subscription that is about to be replaced."""
    for other in list_live_subscriptions(work.connection, customer.id, plan.id):
        if other.id != but:
            raise Conflict(
                f"customer {customer.id} has subscription {other.id} to plan {plan.code!r} already, and it is "
                f"{other.status.value}; cancel that one first, or change it",
                code="SUBSCRIPTION_EXISTS",
                details={"subscription_id": other.id, "status": other.status.value},
            )


def check_overrides_of(overrides: Overrides, plan: PlanDefinition) -> None:
    """Raises Invalid if an override names no fee or price of the plan."""
    for field, wrong in check_override_codes(overrides, plan):
        raise Invalid(f"{field}: {wrong}", field=field)


def _check_no_change_scheduled(work: UnitOfWork, pending: Subscription) -> None:
    if pending.previous_id is None:
        return
    before = get_subscription(work.connection, work.account, pending.previous_id)
    if before.status.is_live and before.next_id == pending.id:
        raise change_is_scheduled(before)


def change_is_scheduled(before: Subscription) -> Conflict:
    when = "" if before.cancel_at is None else f", on {to_iso(before.cancel_at)}"
    return Conflict(
        f"this subscription takes over from {before.id} when that ends{when}; to call the change off, PATCH "
        f'{before.id} with {{"status": "active"}}',
        code="CHANGE_SCHEDULED",
        details={"subscription_id": before.id},
    )
