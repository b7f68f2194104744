"""A cycle step: what a subscription is billed at a boundary, and the subscription after it.

Steps follow one another as if every run were punctual: the opening of the first period, each renewal, and the end. So
a late run bills the same as a punctual one. After the end there is one more step if usage may still arrive late.
"""

from datetime import datetime, time
from enum import StrEnum

import msgspec

from rating.core.calendar import Period
from rating.core.late_usage import RatedPeriod
from rating.core.local_time import local_date, to_instant
from rating.core.proration import Portion, ServicePeriod, service_period_in
from rating.core.subscription_cycle import next_period, with_due_date
from rating.core.subscription_lifecycle import SubscriptionTransition, next_status
from schemas.billing_settings import LateUsage
from schemas.plan import PlanVersion, Timing, overridden
from schemas.subscription import Status, Subscription, UnusedPrepayment
from schemas.timestamps import Micros, to_iso


class CycleStepKind(StrEnum):
    """What happens at a boundary."""

    OPENING = "opening"
    PERIOD = "period"
    """A period ends: the trial, a full period or the last one."""
    LATE = "late"
    """The subscription has ended, and its last period closes for late usage."""


class CycleStep(msgspec.Struct, frozen=True, kw_only=True):
    """What to bill at a boundary, and the subscription before and after it.

    A step without any service bills late usage only.
    """

    before: Subscription
    after: Subscription
    plan: PlanVersion
    """With the subscription's overrides applied."""
    prepaid_plan: PlanVersion
    """With the overrides that the fees in advance were billed at: a refund gives back exactly those."""
    ended: ServicePeriod | None = None
    """The service that fees in arrears and usage are billed for."""
    begins: ServicePeriod | None = None
    """The service that fees in advance are billed for."""
    unused: ServicePeriod | None = None
    """The service that fees in advance are given back for."""
    open_periods: tuple[RatedPeriod, ...] = ()
    """Earlier periods that may have late usage."""
    late_usage: LateUsage = LateUsage.BILL_NEXT
    """What the account wants done with late usage."""
    fault: str | None = None
    """Why the step cannot be calculated, and so bills nothing: a stored moment that no calendar reaches."""

    @property
    def boundary(self) -> int:
        """The moment that the step bills at, however late the run is."""
        return self.before.period_start if self.before.due_at is None else self.before.due_at

    @property
    def kind(self) -> CycleStepKind:
        """Distinguishes the opening of a first period from its end, which may be the same moment."""
        if self.before.awaits_late_usage:
            return CycleStepKind.LATE
        return CycleStepKind.OPENING if _is_unopened(self.before) else CycleStepKind.PERIOD


def next_step(subscription: Subscription, plan: PlanVersion, zone: str) -> CycleStep:
    """The next step of a subscription that is due; `zone` is the customer's present one.

    A subscription whose moments no calendar reaches gets a step with a `fault`, so that it holds up no other one.
    """
    try:
        return _next_step(subscription, plan, zone)
    except (OverflowError, ValueError):
        fault = (
            f"subscription {subscription.id} has a stored moment that no calendar reaches: it is in the period from "
            f"{to_iso(subscription.period_start)} to {to_iso(subscription.period_end)}, and started at "
            f"{to_iso(subscription.start_at)}; cancel it, and subscribe the customer again"
        )
        return msgspec.structs.replace(_step(plan, before=subscription, after=subscription), fault=fault)


def _next_step(subscription: Subscription, plan: PlanVersion, zone: str) -> CycleStep:
    last = subscription.ends_at
    if subscription.awaits_late_usage:
        return _step(plan, before=subscription, after=msgspec.structs.replace(subscription, due_at=None))
    if _is_unopened(subscription):
        return _opening(subscription, plan)
    if last is not None and last <= subscription.period_end:
        return _end(subscription, plan, last)
    return _renewal(subscription, plan, zone)


def unused_prepayment(subscription: Subscription, plan: PlanVersion) -> UnusedPrepayment | None:
    """The prepayment for days that the next plan charges, of a subscription that a change of plan has just ended."""
    ending = msgspec.structs.replace(subscription, ends_by_change=True, refunds=True)
    last = _next_step(ending, plan, subscription.timezone)
    if last.begins is not None or last.unused is None:
        return None
    fees = tuple(fee for fee in last.prepaid_plan.fixed_fees if fee.timing is Timing.ADVANCE)
    portion = last.unused.portion
    return UnusedPrepayment(
        fees=fees,
        start=last.unused.start,
        end=last.unused.end,
        days=portion.days,
        period_days=portion.period_days,
    )


def _is_unopened(subscription: Subscription) -> bool:
    return subscription.prepaid_until is None and not subscription.in_trial


def _opening(subscription: Subscription, plan: PlanVersion) -> CycleStep:
    opened = _prepaid(subscription)
    begins = _service(subscription, subscription.period_end)
    made = _step(plan, before=subscription, after=with_due_date(opened), begins=begins)
    brought = subscription.brought
    if brought is None:
        return made
    portion = Portion(days=brought.days, period_days=brought.period_days)
    unused = ServicePeriod(start=Micros(brought.start), end=Micros(brought.end), portion=portion)
    prepaid_plan = msgspec.structs.replace(made.prepaid_plan, fixed_fees=brought.fees)
    return msgspec.structs.replace(made, unused=unused, prepaid_plan=prepaid_plan)


def _renewal(subscription: Subscription, plan: PlanVersion, zone: str) -> CycleStep:
    renewed = next_period(subscription, plan, subscription.period_end, zone)
    if renewed.status is not Status.CANCELED:
        status = next_status(renewed.status, SubscriptionTransition.RENEWED)
        renewed = msgspec.structs.replace(renewed, status=status)
    renewed = _prepaid(renewed)
    return _step(
        plan,
        before=subscription,
        after=with_due_date(renewed),
        ended=None if subscription.in_trial else _service(subscription, subscription.period_end),
        begins=_service(renewed, renewed.period_end),
        unused=_unused(subscription, _service(subscription, subscription.period_end)),
    )


def _end(subscription: Subscription, plan: PlanVersion, last: int) -> CycleStep:
    status = (
        subscription.status
        if subscription.ended_at is not None
        else next_status(subscription.status, SubscriptionTransition.ENDED)
    )
    ended = msgspec.structs.replace(subscription, status=status, ended_at=last, due_at=None)
    if subscription.in_trial:
        return _step(plan, before=subscription, after=ended)
    used = _service(subscription, last, to_the_last_day=not subscription.ends_by_change)
    # A period that was cut short may end on a day that is used, without counting that day.
    kept = used if subscription.refunds else max(used, _service(subscription, subscription.period_end), key=_days)
    return _step(plan, before=subscription, after=ended, ended=used, unused=_unused(subscription, kept))


def _step(
    plan: PlanVersion,
    *,
    before: Subscription,
    after: Subscription,
    ended: ServicePeriod | None = None,
    begins: ServicePeriod | None = None,
    unused: ServicePeriod | None = None,
) -> CycleStep:
    now = overridden(plan, before.overrides)
    then = now if before.prepaid_under is None else overridden(plan, before.prepaid_under)
    return CycleStep(before=before, after=after, plan=now, prepaid_plan=then, ended=ended, begins=begins, unused=unused)


def _prepaid(subscription: Subscription) -> Subscription:
    """The subscription with its fees in advance billed for the whole period."""
    return msgspec.structs.replace(
        subscription, prepaid_until=subscription.period_end, prepaid_under=subscription.overrides
    )


def _days(service: ServicePeriod) -> int:
    return service.portion.days


def _unused(subscription: Subscription, kept: ServicePeriod) -> ServicePeriod | None:
    """What was paid in advance beyond the service that is kept."""
    until = subscription.prepaid_until
    if until is None or until <= kept.end:
        return None
    paid = _service(subscription, until)
    days = paid.portion.days - kept.portion.days
    return ServicePeriod(start=kept.end, end=paid.end, portion=Portion(days=days, period_days=paid.portion.period_days))


def _service(subscription: Subscription, end: int, *, to_the_last_day: bool = False) -> ServicePeriod:
    """From the start of the current period to `end`, whose day counts only with `to_the_last_day`."""
    zone = subscription.timezone
    full = Period(start=Micros(subscription.full_start), end=Micros(subscription.full_end))
    counted = end if to_the_last_day else to_instant(datetime.combine(local_date(end, zone), time()), zone)
    portion = service_period_in(full, zone, subscription.period_start, counted).portion
    return ServicePeriod(start=Micros(subscription.period_start), end=Micros(end), portion=portion)
