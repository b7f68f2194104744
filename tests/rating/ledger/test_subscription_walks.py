"""Random changes of subscriptions, however late the runs: no state is wrong, and no day is lost."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from itertools import count, pairwise

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy.pool import StaticPool

from rating.core.cycle_step import CycleStep, CycleStepKind
from rating.core.late_usage import LateUsageWindow, RatedPeriod
from rating.core.local_time import local_date
from rating.core.planned_bill import PlannedBill
from rating.core.subscription_lifecycle import SUBSCRIPTION_TRANSITIONS
from rating.ledger.billing import due_subscriptions, next_steps, record_bills
from rating.ledger.customers import create_customer, update_customer
from rating.ledger.invoice_tables import invoices
from rating.ledger.plan_versions import create_plan
from rating.ledger.subscription_changes import cancel_subscription, update_subscription
from rating.ledger.subscription_creation import create_subscription
from rating.ledger.subscription_plan_change import change_plan
from rating.ledger.subscription_rows import select_subscriptions, to_subscription
from rating.ledger.unit_of_work import UnitOfWork
from schemas.command import Answer, Command
from schemas.customer import CustomerChanges, NewCustomer
from schemas.errors import Conflict, Invalid
from schemas.ids import AccountId
from schemas.moments import Moment
from schemas.plan import Interval, UsagePrice
from schemas.plan_catalog import NewPlan
from schemas.price import PerUnit
from schemas.subscription import (
    Cancellation,
    ChangeTiming,
    NewSubscription,
    PlanChange,
    Refund,
    Status,
    Subscription,
    SubscriptionChanges,
)
from schemas.timestamps import DAY, MINUTE
from schemas.watermark import Watermark

START = 1_800_000_000_000_000
WINDOW = 20 * DAY
PRICE = UsagePrice(code="calls", name="Calls", meter="calls", price=PerUnit(unit_price=Decimal(1)))
STEPS = {(row.before, row.after) for row in SUBSCRIPTION_TRANSITIONS} | {(status, status) for status in Status}
PLANS = {
    "monthly": (Interval.MONTH, 1, 0),
    "tried": (Interval.MONTH, 1, 10),
    "weekly": (Interval.WEEK, 2, 0),
    "quarterly": (Interval.QUARTER, 1, 0),
}
plan_codes = st.sampled_from(sorted(PLANS))
modes = st.sampled_from(ChangeTiming)
refunds = st.sampled_from((None, *Refund))
days = st.integers(1, 31)
zones = st.sampled_from(("UTC", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati"))
picks = st.integers(0, 50)


class Walk(RuleBasedStateMachine):
    """One customer's subscriptions, and runs at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        invoices.metadata.create_all(self.engine)
        self.ids = map("c{:024}".format, count())
        self.steps = defaultdict[str, list[CycleStep]](list)
        self.seen = dict[str, Subscription]()
        self.customer = self.work(lambda work: create_customer(work, NewCustomer(name="Acme"))).id
        for code, (interval, length, trial) in PLANS.items():
            self._sell(
                NewPlan(
                    code=code, name=code, currency="USD", interval=interval, interval_count=length, trial_days=trial
                )
            )

    def teardown(self) -> None:
        self.engine.dispose()

    def work(self, change: Callable[[UnitOfWork], Answer]) -> Answer:
        """Applies the change in a transaction, and checks every status that it changed."""
        command = Command(account=AccountId("a"), actor="walk", request_id="r")
        with self.engine.begin() as connection:
            answer = change(UnitOfWork(connection, command, self.now, lambda: next(self.ids)))
        with self.engine.connect() as connection:
            found = [to_subscription(row) for row in connection.execute(select_subscriptions)]
        for one in found:
            before = self.seen.get(one.id, one).status
            assert (before, one.status) in STEPS
        self.seen = {one.id: one for one in found}
        return answer

    def _sell(self, plan: NewPlan) -> None:
        self.work(lambda work: create_plan(work, plan))

    def _pick(self, pick: int) -> str:
        return sorted(self.seen)[pick % len(self.seen)]

    @rule(minutes=st.one_of(st.integers(1, 600), st.integers(1, 60 * 24 * 45)))
    def pass_time(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @rule(code=plan_codes, initial=st.sampled_from(("pending", "active")), shift=st.integers(-40, 20), day=days)
    def subscribe(self, code: str, initial: str, shift: int, day: int) -> None:
        new = NewSubscription(
            customer_id=self.customer,
            plan_code=code,
            start_date=Moment(self.now + shift * DAY),
            billing_anchor_day=day,
            initial_status="active" if initial == "active" else "pending",
        )
        with suppress(Conflict):
            self.work(lambda work: create_subscription(work, new))

    @precondition(lambda self: self.seen)
    @rule(pick=picks, status=st.sampled_from(Status))
    def set_status(self, pick: int, status: Status) -> None:
        chosen = self._pick(pick)
        with suppress(Conflict):
            self.work(lambda work: update_subscription(work, chosen, SubscriptionChanges(status=status)))

    @precondition(lambda self: self.seen)
    @rule(pick=picks, day=days)
    def set_day(self, pick: int, day: int) -> None:
        chosen = self._pick(pick)
        with suppress(Conflict):
            self.work(lambda work: update_subscription(work, chosen, SubscriptionChanges(billing_anchor_day=day)))

    @precondition(lambda self: self.seen)
    @rule(pick=picks, ahead=st.one_of(st.none(), st.integers(1, 60 * 24 * 20)))
    def set_renewal(self, pick: int, ahead: int | None) -> None:
        chosen = self._pick(pick)
        moment = None if ahead is None else Moment(self.now + ahead * MINUTE)
        with suppress(Conflict, Invalid):
            self.work(lambda work: update_subscription(work, chosen, SubscriptionChanges(next_renewal_date=moment)))

    @rule(zone=zones)
    def move(self, zone: str) -> None:
        self.work(lambda work: update_customer(work, self.customer, CustomerChanges(timezone=zone)))

    @precondition(lambda self: self.seen)
    @rule(pick=picks, mode=modes, policy=refunds)
    def cancel(self, pick: int, mode: ChangeTiming, policy: Refund | None) -> None:
        chosen, request = self._pick(pick), Cancellation(cancel_mode=mode, cancel_now_prepaid_refund_policy=policy)
        with suppress(Conflict):
            self.work(lambda work: cancel_subscription(work, chosen, request))

    @precondition(lambda self: self.seen)
    @rule(pick=picks, code=plan_codes, mode=modes)
    def change(self, pick: int, code: str, mode: ChangeTiming) -> None:
        chosen, request = self._pick(pick), PlanChange(target_plan_code=code, change_mode=mode)
        with suppress(Conflict):
            self.work(lambda work: change_plan(work, chosen, request))

    @rule()
    def run(self) -> None:
        """A whole run, after which nothing is due, and every period holds the present moment."""
        for _ in range(1000):
            with self.engine.connect() as connection:
                due = due_subscriptions(connection, AccountId("a"), self.now, None, 2)
                bills = tuple(map(_billed, next_steps(connection, due)))
            if not bills:
                break
            assert self._record(bills) == bills
            assert self._record(bills) == ()
            for each in bills:
                self.steps[each.step.before.id].append(each.step)
        for one in self.seen.values():
            assert one.due_at is None or (one.due_at > self.now and (one.status.is_live or one.awaits_late_usage))
            if one.status in (Status.TRIALING, Status.ACTIVE):
                assert one.period_start > self.now or one.period_start <= self.now < one.period_end

    def _record(self, bills: tuple[PlannedBill, ...]) -> tuple[PlannedBill, ...]:
        """The bills whose step was applied."""
        late_usage_window = LateUsageWindow(window=WINDOW, as_of=self.now)
        return self.work(lambda work: record_bills(work, bills, late_usage_window)).applied

    @invariant()
    def every_state_is_consistent(self) -> None:
        for one in self.seen.values():
            has_period = one.period_start < one.period_end
            assert one.full_start <= one.full_end
            match one.status:
                case Status.PENDING:
                    assert (has_period, one.due_at, one.ended_at, one.cancel_at) == (False, None, None, None)
                case Status.TRIALING | Status.ACTIVE:
                    assert has_period
                    assert one.due_at is not None
                    assert one.ended_at is None
                    assert one.cancel_at is None or one.cancel_at > max(one.period_start, one.canceled_at or 0)
                case Status.CANCELED:
                    assert one.canceled_at is not None
                    assert one.ended_at is not None

    @invariant()
    def a_successor_starts_where_its_predecessor_ended(self) -> None:
        for one in self.seen.values():
            if one.previous_id is None or one.period_start == one.period_end:
                continue  # It has not started, and may never start.
            before = self.seen[one.previous_id]
            if before.anchor_at is not None:
                assert one.start_at == max(before.ended_at or 0, before.start_at)

    @invariant()
    def no_customer_has_a_plan_twice(self) -> None:
        live = [one.plan_code for one in self.seen.values() if one.status.is_live and not self._waits(one)]
        assert len(live) == len(set(live))

    def _waits(self, one: Subscription) -> bool:
        before = None if one.previous_id is None else self.seen[one.previous_id]
        return before is not None and before.status.is_live and before.next_id == one.id

    @invariant()
    def only_billed_periods_are_measured_again(self) -> None:
        """A step measures again only what earlier steps billed; the step after the end is the last."""
        for steps in self.steps.values():
            assert all(one.kind is not CycleStepKind.LATE for one in steps[:-1])
            for place, one in enumerate(steps):
                if one.kind is CycleStepKind.LATE:
                    assert one.open_periods
                for period in one.open_periods:
                    assert period.service in [before.ended for before in steps[:place]]
                    assert one.boundary >= period.service.end

    @invariant()
    def periods_tile(self) -> None:
        """Services billed in arrears have no gap between them, nor have those billed in advance."""
        for steps in self.steps.values():
            ended = [one.ended for one in steps if one.ended is not None]
            begins = [one.begins for one in steps if one.begins is not None]
            assert all(before.end == after.start for before, after in pairwise(ended))
            assert [one.start for one in begins] == sorted({one.start for one in begins})
            assert all(service.start == began.start for service, began in zip(ended, begins, strict=False))

    @invariant()
    def every_day_of_a_period_is_paid_in_advance(self) -> None:
        """After a change of zone, a boundary may be on the evening before, whose date belongs to the period before."""
        for steps in self.steps.values():
            for one in steps:
                if one.begins is not None:
                    zone = one.after.timezone
                    dates = (local_date(one.begins.end, zone) - local_date(one.begins.start, zone)).days
                    is_moved = zone != one.before.timezone
                    assert one.begins.portion.days in ((dates, dates - 1) if is_moved else (dates,))

    @invariant()
    def every_day_in_advance_is_used_or_given_back(self) -> None:
        """At the end itself or by the successor, unless the request was without a refund."""
        for subscription, steps in self.steps.items():
            used = [one for one in steps if one.ended is not None]
            opened = [one.begins for one in steps if one.begins is not None]
            for one, began in zip(used, opened, strict=False):
                assert one.ended is not None
                back = 0 if one.unused is None else one.unused.portion.days
                is_end = one.after.ended_at is not None and one.after.due_at is None
                following = self.seen.get(one.after.next_id or "") if is_end else None
                brought = None if following is None else following.brought
                given = back + (0 if brought is None else brought.days)
                kept = began.portion.days - given - one.ended.portion.days
                is_kept = is_end and brought is None and not self.seen[subscription].refunds
                assert kept == 0 or (is_kept and kept > 0)

    @invariant()
    def a_carried_prepayment_is_given_back_once(self) -> None:
        """With the successor's first fees, and never by the subscription that it was paid to."""
        for subscription, steps in self.steps.items():
            brought = self.seen[subscription].brought
            first = steps[0]
            if brought is not None:
                assert first.kind is CycleStepKind.OPENING
                assert first.unused is not None
                assert (first.unused.start, first.unused.portion.days) == (brought.start, brought.days)
            following = self.seen.get(self.seen[subscription].next_id or "")
            if following is not None and following.brought is not None:
                assert all(one.unused is None for one in steps if one.after.ended_at is not None)


def _billed(step: CycleStep) -> PlannedBill:
    """A bill without an invoice, whose period may still receive usage."""
    ended = step.ended
    if ended is None or ended.start == ended.end:
        return PlannedBill(step=step, invoice=None)
    counted = Watermark(flushes={})
    rated = RatedPeriod(price=PRICE, service=ended, timezone="UTC", quantities={}, watermark=counted)
    return PlannedBill(step=step, invoice=None, rated=(rated,))


Walk.TestCase.settings = settings(stateful_step_count=40)
TestWalk = Walk.TestCase
