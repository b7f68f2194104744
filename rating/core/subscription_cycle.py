"""The start of a subscription, and the cycle that its periods follow from then on."""

import msgspec

from rating.core.calendar import BillingFrequency, Cycle, Period, anchored_cycle, period_at, resumed_period
from rating.core.local_time import days_later
from rating.core.subscription_lifecycle import SubscriptionTransition, next_status
from schemas.plan import PlanDefinition
from schemas.subscription import Subscription
from schemas.timestamps import Micros


def started(subscription: Subscription, plan: PlanDefinition, start: int, now: int) -> Subscription:
    """The subscription started at `start`: in its trial, or in its first period if the trial is over by `now`.

    The successor of another subscription already has an `anchor_at` and a `trial_end`.
    """
    trial_end = subscription.trial_end
    if subscription.trial_days:
        trial_end = days_later(start, subscription.trial_days, subscription.timezone)
    opens = start if trial_end is None else max(start, trial_end)
    anchor_at = opens if subscription.anchor_at is None else subscription.anchor_at
    begins = msgspec.structs.replace(subscription, start_at=start, trial_end=trial_end, anchor_at=anchor_at)
    if opens > max(start, now):
        trial = Period(start=Micros(start), end=Micros(opens))
        begins = msgspec.structs.replace(
            begins, status=next_status(subscription.status, SubscriptionTransition.TRIAL_STARTED)
        )
        return with_due_date(_in_period(begins, trial, trial))
    begins = msgspec.structs.replace(begins, status=next_status(subscription.status, SubscriptionTransition.ACTIVATED))
    return with_due_date(next_period(begins, plan, opens, begins.timezone))


def next_period(subscription: Subscription, plan: PlanDefinition, at: int, zone: str) -> Subscription:
    """The subscription in the period from `at` to the next boundary in the calendar of `zone`.

    After a change of zone, a boundary of the old zone's calendar is the same boundary in the new one; any other moment
    lies within a period of the new calendar.
    """
    cycle = cycle_of(subscription, plan, zone)
    if zone != subscription.timezone and _is_boundary(cycle_of(subscription, plan, subscription.timezone), at):
        period = resumed_period(cycle, at)
        full = period_at(cycle, period.end - 1)
    else:
        full = period_at(cycle, at)
        period = Period(start=Micros(at), end=full.end)
    return _in_period(msgspec.structs.replace(subscription, timezone=zone), period, full)


def cycle_of(subscription: Subscription, plan: PlanDefinition, zone: str) -> Cycle:
    """The cycle anchored where the subscription started, on the day of the month that it has now."""
    frequency = BillingFrequency(interval=plan.interval, count=plan.interval_count, zone=zone)
    anchor = subscription.start_at if subscription.anchor_at is None else subscription.anchor_at
    return anchored_cycle(frequency, anchor, subscription.billing_anchor_day)


def with_due_date(subscription: Subscription) -> Subscription:
    """The subscription with `due_at`, its next cycle step: fees in advance, the end of a period, or its own end.

    A subscription that ended before its first period began owes nothing, but may have a prepayment to give back.
    """
    ended, opened = subscription.ended_at, subscription.in_trial or subscription.prepaid_until is not None
    due: int | None
    if not opened:
        is_nothing = ended is not None and ended <= subscription.period_start and subscription.brought is None
        due = None if is_nothing else subscription.period_start
    else:
        due = subscription.period_end if ended is None else min(ended, subscription.period_end)
    return msgspec.structs.replace(subscription, due_at=due)


def advanced_to(subscription: Subscription, plan: PlanDefinition, now: int, zone: str) -> Subscription:
    """The subscription in the period that holds `now`, as late runs will leave it."""
    while subscription.period_end <= now:
        subscription = next_period(subscription, plan, subscription.period_end, zone)
    return subscription


def _is_boundary(cycle: Cycle, at: int) -> bool:
    return period_at(cycle, at).start == at


def _in_period(subscription: Subscription, period: Period, full: Period) -> Subscription:
    return msgspec.structs.replace(
        subscription, period_start=period.start, period_end=period.end, full_start=full.start, full_end=full.end
    )
