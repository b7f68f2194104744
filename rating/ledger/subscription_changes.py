"""Changes of a subscription: its anchor day, overrides and renewal date, and its cancellation."""

import msgspec

from rating.core.subscription_cycle import advanced_to, with_due_date
from rating.core.subscription_lifecycle import SubscriptionTransition, next_status, refused_transition
from rating.ledger.customers import get_customer
from rating.ledger.subscription_creation import change_is_scheduled, check_overrides_of, get_plan_version, start_pending
from rating.ledger.subscription_rows import get_subscription, get_timezone, save_subscription
from rating.ledger.unit_of_work import UnitOfWork
from schemas.errors import Conflict, Invalid
from schemas.subscription import Cancellation, ChangeTiming, Refund, Status, Subscription, SubscriptionChanges
from schemas.timestamps import to_iso


def update_subscription(work: UnitOfWork, subscription_id: str, changes: SubscriptionChanges) -> Subscription:
    before = lock_subscription(work, subscription_id)
    now = before
    if changes.metadata is not msgspec.UNSET:
        now = msgspec.structs.replace(now, metadata=changes.metadata)
    if changes.billing_anchor_day is not msgspec.UNSET:
        now = msgspec.structs.replace(_changeable(now), billing_anchor_day=changes.billing_anchor_day)
    if changes.overrides is not msgspec.UNSET:
        check_overrides_of(changes.overrides, get_plan_version(work, now))
        now = msgspec.structs.replace(_changeable(now), overrides=changes.overrides)
    if changes.next_renewal_date is not msgspec.UNSET:
        now = _move_renewal(work, now, changes.next_renewal_date)
    if changes.status is not msgspec.UNSET:
        now = _change_status(work, now, changes.status)
    return save_subscription(work, "subscription.update", before, now)


def cancel_subscription(work: UnitOfWork, subscription_id: str, request: Cancellation) -> Subscription:
    before = lock_subscription(work, subscription_id)
    if request.cancel_mode is ChangeTiming.END_OF_PERIOD:
        return save_subscription(work, "subscription.cancel", before, schedule_cancellation(work, before))
    refunds = request.cancel_now_prepaid_refund_policy is Refund.PRORATE
    return save_subscription(work, "subscription.cancel", before, cancel_now(work, before, refunds=refunds))


def lock_subscription(work: UnitOfWork, subscription_id: str) -> Subscription:
    return get_subscription(work.connection, work.account, subscription_id, lock=True)


def cancel_now(work: UnitOfWork, subscription: Subscription, *, refunds: bool) -> Subscription:
    """The subscription canceled at this moment; its scheduled successor is canceled too. Raises Conflict."""
    if subscription.status is Status.PENDING and subscription.previous_id is not None:
        predecessor = get_subscription(work.connection, work.account, subscription.previous_id)
        if predecessor.status.is_live and predecessor.next_id == subscription.id:
            raise change_is_scheduled(predecessor)
    status = next_status(subscription.status, SubscriptionTransition.CANCELED)
    stopped = msgspec.structs.replace(
        _cancel_successor(work, subscription),
        status=status,
        cancel_at=None,
        canceled_at=work.now,
        ended_at=work.now,
        refunds=refunds,
    )
    return stopped if subscription.status is Status.PENDING else with_due_date(stopped)


def schedule_cancellation(work: UnitOfWork, subscription: Subscription) -> Subscription:
    """Canceled at the end of the present period, even if a late run has still to bill the last. Raises Conflict."""
    status = next_status(subscription.status, SubscriptionTransition.CANCEL_SCHEDULED)
    check_not_ending(subscription)
    customer = get_customer(work.connection, work.account, subscription.customer_id)
    zone = get_timezone(work.connection, customer)
    end = advanced_to(subscription, get_plan_version(work, subscription), work.now, zone).period_end
    return msgspec.structs.replace(subscription, status=status, cancel_at=end, canceled_at=work.now)


def _change_status(work: UnitOfWork, subscription: Subscription, status: Status) -> Subscription:
    match subscription.status, status:
        case Status.PENDING, Status.ACTIVE:
            return start_pending(work, subscription)
        case _, Status.ACTIVE:
            return _withdraw_cancellation(work, subscription)
        case _, Status.CANCELED:
            return cancel_now(work, subscription, refunds=False)
        case _:
            raise refused_transition(subscription.status, f"made {status.value}")


def _withdraw_cancellation(work: UnitOfWork, subscription: Subscription) -> Subscription:
    status = next_status(subscription.status, SubscriptionTransition.CANCEL_WITHDRAWN)
    if subscription.cancel_at is None:
        return subscription
    return msgspec.structs.replace(
        _cancel_successor(work, subscription), status=status, cancel_at=None, canceled_at=None
    )


def _cancel_successor(work: UnitOfWork, subscription: Subscription) -> Subscription:
    """The subscription without its scheduled successor, which is canceled."""
    if subscription.next_id is None:
        return subscription
    following = lock_subscription(work, subscription.next_id)
    if following.status is Status.PENDING:
        over = msgspec.structs.replace(
            following,
            status=next_status(following.status, SubscriptionTransition.CANCELED),
            canceled_at=work.now,
            ended_at=work.now,
        )
        save_subscription(work, "subscription.cancel", following, over)
    return msgspec.structs.replace(subscription, next_id=None, ends_by_change=False)


def _move_renewal(work: UnitOfWork, subscription: Subscription, moment: int | None) -> Subscription:
    """Ends the current period at `moment`; without one, at the calendar's boundary."""
    if subscription.status is not Status.ACTIVE:
        raise refused_transition(subscription.status, "renewed on another date")
    check_not_ending(subscription)
    latest = _latest_end(subscription)
    if latest <= work.now:
        raise Conflict(
            f"the subscription is {subscription.status.value}, and its period ended on {to_iso(latest)}; the next one "
            "can be moved once that is billed: see POST /v1/invoice-runs",
            code="PERIOD_NOT_BILLED",
            details={"status": subscription.status.value},
        )
    end = latest if moment is None else moment
    if not max(work.now, subscription.period_start) < end <= latest:
        raise Invalid(
            f"next_renewal_date: expected a future time, at most {to_iso(latest)}, where the current period ends",
            field="next_renewal_date",
        )
    return with_due_date(msgspec.structs.replace(subscription, period_end=end))


def _latest_end(subscription: Subscription) -> int:
    """The calendar's boundary, but not beyond the days billed in advance: no invoice would bill the days between."""
    paid = subscription.prepaid_until
    return subscription.full_end if paid is None else min(subscription.full_end, paid)


def _changeable(subscription: Subscription) -> Subscription:
    if not subscription.status.is_live:
        raise refused_transition(subscription.status, "changed")
    return subscription


def check_not_ending(subscription: Subscription) -> None:
    """Raises Conflict if a live subscription has a scheduled end."""
    if subscription.cancel_at is not None and subscription.status.is_live:
        raise Conflict(
            f"the subscription is {subscription.status.value} and ends on {to_iso(subscription.cancel_at)} already; "
            'PATCH it with {"status": "active"} to call that off, or cancel it now',
            code="CANCEL_SCHEDULED" if subscription.next_id is None else "CHANGE_SCHEDULED",
            details={"status": subscription.status.value},
        )
