"""A change of plan: one subscription ends, and its successor starts at that moment."""

import msgspec

from rating.core.cycle_step import unused_prepayment
from rating.core.local_time import local_date
from rating.core.subscription_cycle import started
from rating.ledger.customers import get_customer
from rating.ledger.plan_rows import get_plan
from rating.ledger.subscription_changes import cancel_now, check_not_ending, lock_subscription, schedule_cancellation
from rating.ledger.subscription_creation import (
    check_currency,
    check_not_subscribed,
    get_plan_version,
    new_subscription,
    offered_version,
)
from rating.ledger.subscription_rows import get_subscription, insert_subscription, save_subscription
from rating.ledger.unit_of_work import UnitOfWork
from schemas.errors import Conflict
from schemas.plan_catalog import Plan, StoredPlanVersion
from schemas.subscription import (
    ChangeTiming,
    PlanChange,
    PlanChangeResult,
    Refund,
    Status,
    Subscription,
    UnusedPrepayment,
)


def change_plan(work: UnitOfWork, subscription_id: str, request: PlanChange) -> PlanChangeResult:
    seen = get_subscription(work.connection, work.account, subscription_id)
    # The customer first, as in every transaction that locks more than one row: otherwise two could deadlock.
    customer = get_customer(work.connection, work.account, seen.customer_id, lock=True)
    before = lock_subscription(work, subscription_id)
    plan = get_plan(work.connection, work.account, request.target_plan_code)
    version = offered_version(work, plan, request.target_plan_version)
    check_currency(customer, version)
    _check_differs(before, plan, version)
    is_scheduled = request.change_mode is ChangeTiming.END_OF_PERIOD
    old = schedule_cancellation(work, before) if is_scheduled else _cancel_for_change(work, before, request)
    check_not_subscribed(work, customer, plan, but=before.id)
    start = max(work.now, before.start_at) if old.cancel_at is None else old.cancel_at
    new = _successor(work, before, new_subscription(work, customer, plan, version, start), version)
    if old.refunds and (brought := _carried_over(work, before, old, version)) is not None:
        # The rest of the prepayment moves to the successor, even if the period was cut short after it was paid.
        old = msgspec.structs.replace(old, refunds=False, prepaid_until=brought.start)
        new = msgspec.structs.replace(new, brought=brought)
    old = msgspec.structs.replace(old, ends_by_change=True, next_id=new.id)
    old = save_subscription(work, "subscription.change_plan", before, old)
    if not is_scheduled and before.status is not Status.PENDING:
        new = started(new, version, start, work.now)
    return PlanChangeResult(is_scheduled=is_scheduled, old=old, new=insert_subscription(work, new))


def _carried_over(
    work: UnitOfWork, before: Subscription, old: Subscription, version: StoredPlanVersion
) -> UnusedPrepayment | None:
    """The prepayment that the successor gives back; None if a run is late or the currency differs."""
    is_up_to_date = before.due_at is not None and before.due_at > work.now and before.prepaid_until is not None
    plan = get_plan_version(work, before)
    return unused_prepayment(old, plan) if is_up_to_date and plan.currency == version.currency else None


def _cancel_for_change(work: UnitOfWork, old: Subscription, request: PlanChange) -> Subscription:
    check_not_ending(old)
    return cancel_now(work, old, refunds=request.cancel_now_prepaid_refund_policy is not Refund.NONE)


def _successor(work: UnitOfWork, old: Subscription, new: Subscription, version: StoredPlanVersion) -> Subscription:
    """The new subscription with the old one's trial, and with its boundaries if the interval is the same."""
    new = msgspec.structs.replace(new, previous_id=old.id, metadata=old.metadata)
    if old.status is Status.PENDING:
        days = old.billing_anchor_day
        return msgspec.structs.replace(new, billing_anchor_day=days, trial_days=version.trial_days)
    if old.in_trial and new.start_at < old.period_end:
        new = msgspec.structs.replace(new, trial_end=old.trial_end)
    before = get_plan_version(work, old)
    if (before.interval, before.interval_count) == (version.interval, version.interval_count):
        day, anchor_at = old.billing_anchor_day, old.anchor_at
    else:
        opens = new.start_at if new.trial_end is None else new.trial_end
        day, anchor_at = local_date(opens, new.timezone).day, None
    return msgspec.structs.replace(new, billing_anchor_day=day, anchor_at=anchor_at)


def _check_differs(old: Subscription, plan: Plan, version: StoredPlanVersion) -> None:
    """Raises Conflict for the same version; a newer version of the same plan is a change."""
    if (old.plan_id, old.plan_version) == (plan.id, version.version):
        raise Conflict(
            f"the subscription is on version {version.version} of plan {plan.code!r} already",
            code="SAME_PLAN",
            field="target_plan_code",
        )
