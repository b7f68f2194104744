"""Changes of a subscription: its day, prices and renewal, and its end."""

from datetime import datetime

import msgspec

from rating.core.subscription_cycle import caught_up, with_due
from rating.core.subscription_lifecycle import Verb, after, refused
from rating.ledger.customers import customer_of
from rating.ledger.subscription_creation import begin, check_overrides_of, definition_for, waiting
from rating.ledger.subscription_rows import rewrite, subscription_of, zone_of
from rating.ledger.unit_of_work import Work
from schemas.errors import Conflict, Invalid
from schemas.subscribing import Cancellation, ChangeTiming, Refund, SubscriptionChanges
from schemas.subscription import Status, Subscription
from schemas.timestamps import to_iso, to_micros


def update_subscription(work: Work, subscription_id: str, changes: SubscriptionChanges) -> Subscription:
    before = locked(work, subscription_id)
    now = before
    if changes.metadata is not msgspec.UNSET:
        now = msgspec.structs.replace(now, metadata=changes.metadata)
    if changes.billing_anchor_day is not msgspec.UNSET:
        now = msgspec.structs.replace(_changeable(now), billing_anchor_day=changes.billing_anchor_day)
    if changes.overrides is not msgspec.UNSET:
        check_overrides_of(changes.overrides, definition_for(work, now))
        now = msgspec.structs.replace(_changeable(now), overrides=changes.overrides)
    if changes.next_renewal_date is not msgspec.UNSET:
        now = _renewing(work, now, changes.next_renewal_date)
    if changes.status is not msgspec.UNSET:
        now = _in_status(work, now, changes.status)
    return rewrite(work, "subscription.update", before, now)


def cancel_subscription(work: Work, subscription_id: str, asked: Cancellation) -> Subscription:
    before = locked(work, subscription_id)
    if asked.cancel_mode is ChangeTiming.END_OF_PERIOD:
        return rewrite(work, "subscription.cancel", before, ending(work, before))
    refunds = asked.cancel_now_prepaid_refund_policy is Refund.PRORATE
    return rewrite(work, "subscription.cancel", before, canceled(work, before, refunds=refunds))


def locked(work: Work, subscription_id: str) -> Subscription:
    return subscription_of(work.connection, work.account, subscription_id, lock=True)


def canceled(work: Work, subscription: Subscription, *, refunds: bool) -> Subscription:
    """At this moment. What it was to give way to does not begin."""
    if subscription.status is Status.PENDING and subscription.previous_id is not None:
        predecessor = subscription_of(work.connection, work.account, subscription.previous_id)
        if predecessor.status.is_live and predecessor.next_id == subscription.id:
            raise waiting(predecessor)
    status = after(subscription.status, Verb.CANCELED)
    stopped = msgspec.structs.replace(
        _alone(work, subscription),
        status=status,
        cancel_at=None,
        canceled_at=work.now,
        ended_at=work.now,
        refunds=refunds,
    )
    return stopped if subscription.status is Status.PENDING else with_due(stopped)


def ending(work: Work, subscription: Subscription) -> Subscription:
    """At the end of its period: of the one that it is in by now, where a run is late."""
    status = after(subscription.status, Verb.SCHEDULED)
    check_goes_on(subscription)
    customer = customer_of(work.connection, work.account, subscription.customer_id)
    zone = zone_of(work.connection, customer)
    end = caught_up(subscription, definition_for(work, subscription), work.now, zone).period_end
    return msgspec.structs.replace(subscription, status=status, cancel_at=end, canceled_at=work.now)


def _in_status(work: Work, subscription: Subscription, wanted: Status) -> Subscription:
    match subscription.status, wanted:
        case Status.PENDING, Status.ACTIVE:
            return begin(work, subscription)
        case _, Status.ACTIVE:
            return _kept(work, subscription)
        case _, Status.CANCELED:
            return canceled(work, subscription, refunds=False)
        case _:
            raise refused(subscription.status, f"made {wanted.value}")


def _kept(work: Work, subscription: Subscription) -> Subscription:
    """Not ended after all."""
    status = after(subscription.status, Verb.KEPT)
    if subscription.cancel_at is None:
        return subscription
    return msgspec.structs.replace(_alone(work, subscription), status=status, cancel_at=None, canceled_at=None)


def _alone(work: Work, subscription: Subscription) -> Subscription:
    """What it was to give way to is called off."""
    if subscription.next_id is None:
        return subscription
    following = locked(work, subscription.next_id)
    if following.status is Status.PENDING:
        over = msgspec.structs.replace(
            following, status=after(following.status, Verb.CANCELED), canceled_at=work.now, ended_at=work.now
        )
        rewrite(work, "subscription.cancel", following, over)
    return msgspec.structs.replace(subscription, next_id=None, ends_by_change=False)


def _renewing(work: Work, subscription: Subscription, moment: datetime | None) -> Subscription:
    """The current period ends then; without a date, where the calendar has it."""
    if subscription.status is not Status.ACTIVE:
        raise refused(subscription.status, "renewed on another date")
    check_goes_on(subscription)
    latest = _latest_end(subscription)
    if latest <= work.now:
        raise Conflict(
            f"the subscription is {subscription.status.value}, and its period ended on {to_iso(latest)}; the next one "
            "can be moved once that is billed: see POST /v1/invoice-runs",
            code="PERIOD_NOT_BILLED",
            details={"status": subscription.status.value},
        )
    end = latest if moment is None else to_micros(moment)
    if not max(work.now, subscription.period_start) < end <= latest:
        raise Invalid(
            f"next_renewal_date: expected a time to come, at most {to_iso(latest)}, where the current period ends",
            field="next_renewal_date",
        )
    return with_due(msgspec.structs.replace(subscription, period_end=end))


def _latest_end(subscription: Subscription) -> int:
    """The calendar's, but not beyond what is billed in advance: nobody would pay for the days between."""
    paid = subscription.prepaid_until
    return subscription.full_end if paid is None else min(subscription.full_end, paid)


def _changeable(subscription: Subscription) -> Subscription:
    if not subscription.status.is_live:
        raise refused(subscription.status, "changed")
    return subscription


def check_goes_on(subscription: Subscription) -> None:
    """Raises Conflict where a live subscription is to end."""
    if subscription.cancel_at is not None and subscription.status.is_live:
        raise Conflict(
            f"the subscription is {subscription.status.value} and ends on {to_iso(subscription.cancel_at)} already; "
            'PATCH it with {"status": "active"} to call that off, or cancel it now',
            code="CANCEL_SCHEDULED" if subscription.next_id is None else "CHANGE_SCHEDULED",
            details={"status": subscription.status.value},
        )
