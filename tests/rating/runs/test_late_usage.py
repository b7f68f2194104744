"""Usage in any order, billed by runs at any time: in the end a period has cost what all its usage costs at once."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.cycle_step import CycleStepKind, next_step
from rating.core.late_usage import LateUsageWindow, RatedPeriod, UsageBehind
from rating.core.planned_bill import PlannedBill, billed, usage_needs
from rating.core.pricing import Group, charge
from rating.core.subscription_cycle import started
from rating.runs.auditing import audit
from rating.runs.measuring import measure
from schemas.billing_settings import LateUsage
from schemas.invoice import Invoice, InvoiceLine, NewInvoice
from schemas.plan import Interval, PlanVersion, UsagePrice
from schemas.price import Graduated, PerUnit, Price, Tier
from schemas.subscription import Subscription
from schemas.timestamps import DAY, MINUTE
from tests.rating.core.records import PLAIN, amount_of, canceled, pending_from
from tests.rating.core.strategies import USD, prices
from tests.rating.runs.counted_usage import CountedUsage, UsageEvent

pytestmark = pytest.mark.anyio

NEW_YEAR = 1_798_761_600_000_000  # 2027-01-01T00:00:00Z
START = NEW_YEAR + 10 * DAY + 90 * MINUTE
WINDOW = 9 * DAY
"""More than a week, so that several periods are open at a time."""


def _plan(price: Price, group_by: tuple[str, ...], interval: Interval = Interval.DAY) -> PlanVersion:
    priced = UsagePrice(code="tokens", name="Tokens", meter="tokens", price=price, group_by=group_by)
    return PlanVersion(code="pro", version=1, name="Pro", currency=USD, interval=interval, usage_prices=(priced,))


WEEKLY = _plan(PerUnit(unit_price=Decimal(1)), (), Interval.WEEK)


def _subscription(plan: PlanVersion, end: int) -> Subscription:
    """A subscription from `START` to `end`."""
    return canceled(started(pending_from(START), plan, START, START), end)


class Billing:
    """One subscription, with what a ledger stores of it in memory, by the same rules."""

    def __init__(self, plan: PlanVersion, end: int, late_usage: LateUsage, window: int = WINDOW) -> None:
        self.plan = plan
        self.usage = CountedUsage(group_by=("model",))
        self.subscription = _subscription(plan, end)
        self.bills: list[PlannedBill] = []
        self._late_usage = late_usage
        self._window = window
        self._rated: dict[int, tuple[RatedPeriod, int]] = {}
        """Start of the period → the period, and the moment at which it closes."""

    async def run(self, as_of: int) -> None:
        """Applies every step that is due."""
        while self.subscription.due_at is not None and self.subscription.due_at <= as_of:
            await self._bill(LateUsageWindow(window=self._window, as_of=as_of))

    async def _bill(self, late_usage_window: LateUsageWindow) -> None:
        began = self.subscription.period_start
        due = msgspec.structs.replace(
            next_step(self.subscription, self.plan, "UTC"),
            open_periods=tuple(period for period, until in self._rated.values() if until > began),
            late_usage=self._late_usage,
        )
        made = billed(due, await measure(list(usage_needs(due)), self.usage, self.usage))
        self.subscription = made.step_to_apply(late_usage_window).after
        for period in made.rated:
            self._rated[period.service.start] = period, late_usage_window.open_until(period.service.end)
        for period in made.rerated:
            self._rated[period.service.start] = period, self._rated[period.service.start][1]
        self.bills.append(made)

    def invoices(self, *names: str) -> list[NewInvoice]:
        """The invoices of all bills in the fields of these names."""
        found = [getattr(bill, name) for bill in self.bills for name in names]
        return [one for one in found if one is not None]

    def whole(self) -> dict[int, int]:
        """Start of each period → what all of its usage costs, rated once."""
        return {period.service.start: self._cost(period, self.usage.events) for period in self.rated()}

    def first(self) -> dict[int, int]:
        """Start of each period → what the usage costs that was counted when it was first rated."""
        return {
            period.service.start: self._cost(period, self.usage.events[: period.watermark.flushes[0] + 1])
            for period in self.rated()
        }

    def rated(self) -> list[RatedPeriod]:
        return [period for bill in self.bills for period in bill.rated]

    def _cost(self, period: RatedPeriod, events: Sequence[UsageEvent]) -> int:
        service = period.service
        start, end = (at // MINUTE * MINUTE for at in (service.start, service.end))
        sums = defaultdict[Group, Decimal](Decimal)
        for event in events:
            if start <= event.at < end:
                sums[tuple(event.group[key] for key in period.price.group_by)] += event.value
        return amount_of(charge(period.price, sums, USD, service.portion))


def _costs(invoices: Sequence[NewInvoice]) -> dict[int, int]:
    """Start of each period → the sum of its lines."""
    sums = defaultdict[int, int](int)
    for invoice in invoices:
        for line in invoice.lines:
            assert line.period_start is not None
            sums[line.period_start] += line.quantity * line.unit_amount
    return dict(sums)


def _without_nothing(costs: dict[int, int]) -> dict[int, int]:
    return {start: cents for start, cents in costs.items() if cents}


values = st.one_of(st.integers(-6, 12).map(Decimal), st.integers(1, 48).map(lambda n: Decimal(n) / 4))
delays = st.one_of(st.just(0), st.integers(0, WINDOW // DAY - 1).map(lambda days: days * DAY))


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[int, UsageEvent | None]]]:
    """The end of the subscription; and events and runs (None) by the time at which they happen."""
    end = START + draw(st.integers(1, 5 * 24 * 60)) * MINUTE
    happens: list[tuple[int, UsageEvent | None]] = []
    for _ in range(draw(st.integers(0, 14))):
        at = START + draw(st.integers(-60, (end - START) // MINUTE)) * MINUTE
        group = {"model": draw(st.sampled_from(("a", "b", None)))}
        happens.append((at + draw(delays), UsageEvent(customer="c", at=at, value=draw(values), group=group)))
    runs = draw(st.sets(st.integers(0, 30)))
    happens += [(START + run * DAY // 2, None) for run in runs]
    return end, sorted(happens, key=lambda one: one[0])


async def _live(billing: Billing, end: int, happens: Sequence[tuple[int, UsageEvent | None]]) -> None:
    """The whole history, and a run after all periods have closed."""
    for when, used in happens:
        if used is None:
            await billing.run(when)
        else:
            billing.usage.events.append(used)
    await billing.run(end + WINDOW)
    assert billing.subscription.due_at is None


groupings = st.sampled_from(((), ("model",)))


@settings(max_examples=3 * settings().max_examples)
@given(prices(), groupings, histories())
async def test_what_is_billed_adds_up_to_the_whole(price: Price, group_by: tuple[str, ...], history: Any) -> None:
    """For every model, with minimum and maximum, to the cent; and every audit agrees."""
    billing = Billing(_plan(price, group_by), history[0], LateUsage.BILL_NEXT)
    await _live(billing, *history)
    assert _without_nothing(_costs(billing.invoices("invoice"))) == _without_nothing(billing.whole())
    assert billing.invoices("held", "dropped") == []
    for invoice in billing.invoices("invoice"):
        assert (await audit(_made(invoice), billing.usage, billing.usage)).is_right


@settings(max_examples=2 * settings().max_examples)
@given(prices(), groupings, histories())
async def test_held_late_usage_is_the_rest(price: Price, group_by: tuple[str, ...], history: Any) -> None:
    """Invoices bill what was counted when a period ended; held invoices have everything since."""
    billing = Billing(_plan(price, group_by), history[0], LateUsage.HOLD)
    await _live(billing, *history)
    assert _without_nothing(_costs(billing.invoices("invoice"))) == _without_nothing(billing.first())
    assert _without_nothing(_costs(billing.invoices("invoice", "held"))) == _without_nothing(billing.whole())
    for invoice in billing.invoices("held"):
        assert (await audit(_made(invoice), billing.usage, billing.usage)).is_right


@settings(max_examples=2 * settings().max_examples)
@given(prices(), groupings, histories())
async def test_dropped_late_usage_is_reported(price: Price, group_by: tuple[str, ...], history: Any) -> None:
    """None of it is billed, and the report is exactly what would have been billed."""
    billing = Billing(_plan(price, group_by), history[0], LateUsage.DROP)
    await _live(billing, *history)
    assert billing.invoices("held") == []
    assert _without_nothing(_costs(billing.invoices("invoice"))) == _without_nothing(billing.first())
    assert _without_nothing(_costs(billing.invoices("invoice", "dropped"))) == _without_nothing(billing.whole())


async def test_a_run_that_is_far_behind_measures_each_period_once() -> None:
    """A period that ended longer ago than the window is closed."""
    billing = Billing(WEEKLY, START + 100 * DAY, LateUsage.BILL_NEXT)
    await billing.run(START + 100 * DAY + WINDOW)
    assert len(billing.usage.queries) == len(billing.rated()) == 15
    assert CycleStepKind.LATE not in {bill.step.kind for bill in billing.bills}


async def test_a_period_is_measured_until_it_closes() -> None:
    """With each punctual step until then, and with one more after the end."""
    billing = Billing(WEEKLY, START + 30 * DAY, LateUsage.BILL_NEXT)
    for day in range(60):
        await billing.run(START + day * DAY)
    measured = [(query.start, query.end) for query in billing.usage.queries]
    # Two more steps happen within nine days after a week's end; the end on a Wednesday is another.
    assert [measured.count(one) for one in sorted(set(measured))] == [3, 3, 4, 3, 2]
    assert [bill.step.kind for bill in billing.bills] == ["opening", *["period"] * 5, "late"]
    assert billing.bills[-1].invoice is None


async def test_a_late_line_has_its_period_and_both_quantities() -> None:
    """What was billed before and what is counted now; the first tier's fee is billed once."""
    tiers = (Tier(up_to=Decimal(40), unit_price=Decimal("0.9"), flat_fee=Decimal(3)), Tier(unit_price=Decimal("0.7")))
    billing = Billing(_plan(Graduated(tiers=tiers), (), Interval.WEEK), START + 100 * DAY, LateUsage.BILL_NEXT)
    await billing.run(START + 7 * DAY)
    billing.usage.events.append(UsageEvent(customer="c", at=START, value=Decimal(5)))
    await billing.run(START + 14 * DAY)
    first, second = billing.invoices("invoice")
    assert [(line.reference, line.unit_amount) for line in first.lines] == [("usage:tokens", 300)]
    _, late = second.lines
    assert (late.reference, late.unit_amount) == ("usage:tokens@2027-01-11T01:30:00Z", 450)
    assert late.description == "Tokens, counted late for 2027-01-11 to 2027-01-17"
    assert (late.usage["rated_before"], late.usage["quantity"]) == ("0", "5")
    (audited,) = (
        await audit(_made(msgspec.structs.replace(second, lines=(late,))), billing.usage, billing.usage)
    ).lines
    assert (audited.is_right, audited.counted_amount) == (True, 450)


async def test_the_audit_knows_what_a_maximum_took_off_before() -> None:
    """A group is cut less when the usage of another falls."""
    billing = Billing(
        _plan(PerUnit(unit_price=Decimal(1), maximum=Decimal(10)), ("model",), Interval.WEEK),
        START + 100 * DAY,
        LateUsage.BILL_NEXT,
    )
    for model, value in (("a", 8), ("b", 6)):
        billing.usage.events.append(UsageEvent(customer="c", at=START, value=Decimal(value), group={"model": model}))
    await billing.run(START + 7 * DAY)
    billing.usage.events.append(UsageEvent(customer="c", at=START, value=Decimal(-3), group={"model": "a"}))
    await billing.run(START + 14 * DAY)
    first, second = billing.invoices("invoice")
    assert [line.quantity * line.unit_amount for line in first.lines] == [800, 200]
    assert [line.quantity * line.unit_amount for line in second.lines] == [-300, 300]
    assert (await audit(_made(second), billing.usage, billing.usage)).is_right


async def test_a_group_that_no_longer_exists_is_credited_in_full() -> None:
    """Including the first tier's fee; the audit agrees that nothing is owed."""
    tiers = (Tier(unit_price=Decimal(1), flat_fee=Decimal(3)),)
    plan = _plan(Graduated(tiers=tiers), ("model",), Interval.WEEK)
    billing = Billing(plan, START + 100 * DAY, LateUsage.BILL_NEXT)
    billing.usage.events.append(UsageEvent(customer="c", at=START, value=Decimal(2), group={"model": "a"}))
    await billing.run(START + 7 * DAY)
    billing.usage.events[0] = UsageEvent(customer="another", at=START, value=Decimal(2))
    await billing.run(START + 14 * DAY)
    second = billing.invoices("invoice")[1]
    assert [line.unit_amount for line in second.lines] == [-500]
    assert (await audit(_made(second), billing.usage, billing.usage)).is_right


async def test_a_usage_store_that_is_behind_is_waited_for() -> None:
    """It counts less than was billed, which is not a credit."""
    billing = Billing(WEEKLY, START + 100 * DAY, LateUsage.BILL_NEXT)
    billing.usage.events += [UsageEvent(customer="c", at=START, value=Decimal(5))] * 2
    await billing.run(START + 7 * DAY)
    events = list(billing.usage.events)
    del billing.usage.events[1:]
    with pytest.raises(UsageBehind, match="meter tokens: less is counted than was billed"):
        await billing.run(START + 14 * DAY)
    billing.usage.events[:] = events
    await billing.run(START + 14 * DAY)
    assert _costs(billing.invoices("invoice")) == {START: 1000}


def _made(new: NewInvoice) -> Invoice:
    """The invoice as the ledger would store it, without tax."""
    lines = tuple(
        InvoiceLine(
            id=str(position),
            position=position,
            reference=line.reference,
            description=line.description,
            quantity=line.quantity,
            unit_amount=line.unit_amount,
            amount=line.quantity * line.unit_amount,
            own_tax_rates=None,
            usage=line.usage,
            period_start=line.period_start,
            period_end=line.period_end,
            created_at=0,
            updated_at=0,
        )
        for position, line in enumerate(new.lines)
    )
    return msgspec.structs.replace(
        PLAIN,
        customer_id=new.customer_id,
        subscription_id=new.subscription_id,
        description=new.description,
        metadata=new.metadata,
        subtotal=sum(line.amount for line in lines),
        period_start=new.period_start,
        period_end=new.period_end,
        lines=lines,
    )
