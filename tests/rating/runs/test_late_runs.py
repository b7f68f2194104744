"""Late usage in a real ledger: billed, held or dropped as the account has chosen, once, and after the end too."""

import asyncio
from decimal import Decimal

import pytest
from msgspec.structs import replace

from rating.runs.auditing import audit
from rating.runs.upcoming import upcoming
from schemas.audit import AuditQuery
from schemas.billing_settings import LateUsage
from schemas.customer import Balance
from schemas.errors import Conflict
from schemas.invoice import Invoice, InvoiceQuery, InvoiceStatus
from schemas.invoice_run import UpcomingInvoice
from schemas.plan import Overrides
from schemas.price import PerUnit
from schemas.subscription import Cancellation, ChangeTiming, PlanChange, Status, Subscription, SubscriptionChanges
from tests.rating.ledger.fixtures import on_every_ledger
from tests.rating.runs.billed_account import PRO, WINDOW, BilledAccount, at

pytestmark = pytest.mark.anyio

START = at(2027, 1, 15, 10, 30)
FIRST, SECOND, THIRD = at(2027, 2, 1), at(2027, 3, 1), at(2027, 4, 1)
LATE = "@2027-01-15T10:30:00Z"
PLAIN = replace(PRO, fixed_fees=(), usage_prices=PRO.usage_prices[:1])
"""A plan of tokens at 0.0015 only."""


def late_of(invoice: Invoice) -> dict[str | None, int]:
    return {line.reference: line.amount for line in invoice.lines if "@" in (line.reference or "")}


async def billed_once(billed_account: BilledAccount, **settings: object) -> Subscription:
    """A subscription to `PRO`, billed to the end of January, of which a thousand more tokens are counted then."""
    await billed_account.publish_plan()
    await billed_account.set_billing_settings(**settings)
    one = await billed_account.subscribe(start=START)
    billed_account.record_usage(one, START, 1000, "small")
    await billed_account.run(FIRST)
    billed_account.record_usage(one, FIRST - 1, 1000, "large")
    return one


async def check_audits(billed_account: BilledAccount) -> None:
    for invoice in await billed_account.invoices():
        assert (await audit(invoice, billed_account.usage, billed_account.usage)).is_right


async def ahead(billed_account: BilledAccount, one: Subscription) -> UpcomingInvoice:
    return await upcoming(
        one.account, one.id, billed_account.ledger.billing, billed_account.usage, billed_account.ledger.meters
    )


async def cancel(billed_account: BilledAccount, one: Subscription) -> None:
    await billed_account.ledger.subscriptions.cancel(
        await billed_account.command(), one.id, Cancellation(cancel_mode=ChangeTiming.END_OF_PERIOD)
    )


@on_every_ledger
async def test_late_usage_is_on_the_next_invoice(billed_account: BilledAccount) -> None:
    """Once, in lines for its own period; the upcoming invoice shows them too."""
    one = await billed_once(billed_account, auto_finalize=True)
    shown = await ahead(billed_account, one)
    assert (await billed_account.run(SECOND, is_dry=True)).totals == {"USD": shown.invoice.total}
    assert (await billed_account.run(SECOND)).totals == {"USD": shown.invoice.total}
    second = (await billed_account.invoices(one))[-1]
    assert late_of(second) == {f"usage:tokens{LATE}": 150, f'usage:by_model:["large"]{LATE}': 1100}
    assert (second.status, second.period_start) == (InvoiceStatus.OPEN, FIRST)
    await billed_account.run(THIRD)
    assert late_of((await billed_account.invoices(one))[-1]) == {}
    await check_audits(billed_account)


async def test_late_usage_may_arrive_more_than_once(billed_account: BilledAccount) -> None:
    """Each time only the new usage is billed, even where the invoices before were voided."""
    one = await billed_once(billed_account)
    await billed_account.run(SECOND)
    for invoice in await billed_account.invoices(one):
        await billed_account.ledger.invoices.void(await billed_account.command(), invoice.id)
    billed_account.record_usage(one, FIRST - 1, 500, "large")
    await billed_account.run(THIRD)
    assert late_of((await billed_account.invoices(one))[-1]) == {
        f"usage:tokens{LATE}": 75,
        f'usage:by_model:["large"]{LATE}': 500,
    }
    await check_audits(billed_account)


async def test_late_usage_is_priced_at_its_period_s_terms(billed_account: BilledAccount) -> None:
    """Not at the price that holds now."""
    one = await billed_once(billed_account)
    expensive = Overrides(prices={"tokens": PerUnit(unit_price=Decimal(9))})
    await billed_account.ledger.subscriptions.update(
        await billed_account.command(), one.id, SubscriptionChanges(overrides=expensive)
    )
    await billed_account.run(SECOND)
    assert late_of((await billed_account.invoices(one))[-1])[f"usage:tokens{LATE}"] == 150
    await check_audits(billed_account)


async def test_usage_that_falls_is_a_credit(billed_account: BilledAccount) -> None:
    """The invoice below zero is finalized like any other, and the next one is paid from its balance."""
    await billed_account.publish_plan(PLAIN)
    await billed_account.set_billing_settings(auto_finalize=True)
    one = await billed_account.subscribe(start=START)
    billed_account.record_usage(one, START, 1000)
    await billed_account.run(FIRST)
    billed_account.record_usage(one, START, -400)
    assert (await billed_account.run(SECOND)).below_zero == 1
    credit = (await billed_account.invoices(one))[-1]
    assert (credit.status, late_of(credit)) == (InvoiceStatus.PAID, {f"usage:tokens{LATE}": -60})
    assert await billed_account.ledger.credits.balances(one.account, one.customer_id) == [
        Balance(denomination="usd", is_currency=True, amount=Decimal("0.60"))
    ]
    billed_account.record_usage(one, SECOND, 1000)
    await billed_account.run(THIRD)
    using = (await billed_account.invoices(one))[-1]
    assert (using.status, using.total, using.paid, using.due) == (InvoiceStatus.OPEN, 150, 60, 90)
    await check_audits(billed_account)


async def test_held_late_usage_is_a_draft_of_its_own(billed_account: BilledAccount) -> None:
    """A query by subscription and status finds it, its metadata gives the reason, and finalizing makes it owed."""
    one = await billed_once(billed_account, late_usage=LateUsage.HOLD, auto_finalize=True)
    assert [line.reference for line in (await ahead(billed_account, one)).invoice.lines] == [
        "fixed:seat",
        "fixed:support",
    ]
    dry = await billed_account.run(SECOND, is_dry=True)
    summary = await billed_account.run(SECOND)
    assert (dry.held, dry.invoices, dry.totals) == (1, 2, summary.totals)
    assert (summary.held, summary.invoices, summary.finalized) == (1, 2, 1)
    query = InvoiceQuery(account=one.account, subscription_id=one.id, status=InvoiceStatus.DRAFT)
    (held,) = (await billed_account.ledger.invoices.list(query)).items
    assert late_of(held) == {f"usage:tokens{LATE}": 150, f'usage:by_model:["large"]{LATE}': 1100}
    assert (held.metadata, held.period_start, held.period_end) == ({"late_usage": "hold"}, START, FIRST)
    assert held.description == "Usage that was counted after its period had been billed."
    await check_audits(billed_account)
    final = (await billed_account.ledger.invoices.finalize(await billed_account.command(), held.id)).answer
    assert (final.status, final.total) == (InvoiceStatus.OPEN, 1250)
    assert (await billed_account.run(THIRD)).held == 0


async def test_dropped_late_usage_is_reported(billed_account: BilledAccount) -> None:
    """The run has the amount and the audit log the quantities. It is not billed after a change of the setting."""
    one = await billed_once(billed_account, late_usage=LateUsage.DROP)
    dry = await billed_account.run(SECOND, is_dry=True)
    summary = await billed_account.run(SECOND)
    assert dry.dropped == summary.dropped == {"USD": 1250}
    assert (summary.held, summary.invoices) == (0, 1)
    entries = (await billed_account.ledger.audit.list(AuditQuery(account=one.account, subject=one.id))).items
    (entry,) = [entry for entry in entries if entry.action == "usage.drop"]
    assert (entry.actor, entry.request_id) == ("invoice run", summary.run_id)
    assert '"rated_before":"1000"' in entry.after
    assert '"quantity":"2000"' in entry.after
    await billed_account.set_billing_settings(late_usage=LateUsage.BILL_NEXT)
    billed_account.record_usage(one, FIRST - 1, 100, "large")
    assert (await billed_account.run(THIRD)).dropped == {}
    assert late_of((await billed_account.invoices(one))[-1]) == {
        f"usage:tokens{LATE}": 15,
        f'usage:by_model:["large"]{LATE}': 100,
    }
    await check_audits(billed_account)


@on_every_ledger
async def test_concurrent_runs_bill_late_usage_once(billed_account: BilledAccount) -> None:
    """The later run finds the step applied, and the rated period moved forward."""
    await billed_account.publish_plan(PLAIN)
    many = [await billed_account.subscribe(start=START) for _ in range(20)]
    await billed_account.run(FIRST)
    for one in many:
        billed_account.record_usage(one, START, 1000)
    await asyncio.gather(*(billed_account.run(as_of) for as_of in (SECOND, SECOND, THIRD, THIRD)))
    for one in many:
        assert sum(invoice.subtotal for invoice in await billed_account.invoices(one)) == 150


async def test_an_ended_subscription_is_billed_once_more(billed_account: BilledAccount) -> None:
    """When its last period closes. Until then it has an upcoming invoice, and none after that."""
    await billed_account.publish_plan(PLAIN)
    one = await billed_account.subscribe(start=START)
    await billed_account.run(START)
    await cancel(billed_account, one)
    billed_account.record_usage(one, START, 1000)
    await billed_account.run(FIRST)
    billed_account.record_usage(one, START, 1000)
    ended = await billed_account.ledger.subscriptions.get(one.account, one.id)
    assert (ended.status, ended.due_at) == (Status.CANCELED, FIRST + WINDOW)
    shown = await ahead(billed_account, one)
    assert (shown.at, shown.invoice.total) == (FIRST + WINDOW, 150)
    assert (await billed_account.run(FIRST + WINDOW - 1)).turns == 0
    summary = await billed_account.run(FIRST + WINDOW)
    assert (summary.turns, summary.invoices) == (1, 1)
    (last,) = [invoice for invoice in await billed_account.invoices(one) if late_of(invoice)]
    assert (late_of(last), last.period_start, last.period_end) == ({f"usage:tokens{LATE}": 150}, START, FIRST)
    billed_account.record_usage(one, START, 1000)
    assert (await billed_account.run(THIRD)).turns == 0
    with pytest.raises(Conflict, match="nothing of it will be billed"):
        await ahead(billed_account, one)
    await check_audits(billed_account)


async def test_no_late_usage_makes_no_invoice(billed_account: BilledAccount) -> None:
    """The last step is applied without one, and only for a plan with usage prices."""
    await billed_account.publish_plan()
    await billed_account.publish_plan(replace(PRO, code="flat", usage_prices=()))
    metered, flat = (
        await billed_account.subscribe(start=START),
        await billed_account.subscribe(start=START, code="flat"),
    )
    for one in (metered, flat):
        await cancel(billed_account, one)
    await billed_account.run(FIRST)
    due = [(await billed_account.ledger.subscriptions.get(one.account, one.id)).due_at for one in (metered, flat)]
    assert due == [FIRST + WINDOW, None]
    summary = await billed_account.run(FIRST + WINDOW)
    assert (summary.turns, summary.invoices) == (1, 0)


async def test_a_meter_cannot_be_archived_while_usage_may_be_late(billed_account: BilledAccount) -> None:
    """Even without a live subscription."""
    await billed_account.publish_plan(PLAIN)
    one = await billed_account.subscribe(start=START)
    await billed_account.run(START)
    await cancel(billed_account, one)
    await billed_account.run(FIRST)
    await billed_account.ledger.plans.archive(await billed_account.command(), "pro")
    with pytest.raises(Conflict, match="is priced by"):
        await billed_account.ledger.meters.archive(await billed_account.command(), "tokens")
    await billed_account.run(FIRST + WINDOW)
    await billed_account.ledger.meters.archive(await billed_account.command(), "tokens")


async def test_late_usage_after_a_change_of_plan_belongs_to_the_old_plan(billed_account: BilledAccount) -> None:
    """Each plan bills its own days at its own price, and the successor starts once."""
    await billed_account.publish_plan(PLAIN)
    higher = replace(PLAIN.usage_prices[0], price=PerUnit(unit_price=Decimal(1)))
    await billed_account.publish_plan(replace(PLAIN, code="high", usage_prices=(higher,)))
    old = await billed_account.subscribe(start=START)
    await billed_account.run(START)
    change = PlanChange(target_plan_code="high", change_mode=ChangeTiming.END_OF_PERIOD)
    new = (
        await billed_account.ledger.subscriptions.change_plan(await billed_account.command(), old.id, change)
    ).answer.new
    await billed_account.run(FIRST)
    billed_account.record_usage(old, FIRST - 1, 1000)
    billed_account.record_usage(old, FIRST, 1)
    await billed_account.run(FIRST + WINDOW)
    assert [(late_of(one), one.total) for one in await billed_account.invoices(old)] == [
        ({f"usage:tokens{LATE}": 150}, 150)
    ]
    assert [(late_of(one), one.total) for one in await billed_account.invoices(new)] == [({}, 100)]
    successor = await billed_account.ledger.subscriptions.get(new.account, new.id)
    assert (successor.status, successor.period_start) == (Status.ACTIVE, SECOND)
    await check_audits(billed_account)


async def test_a_quiet_month_needs_few_queries(billed_account: BilledAccount) -> None:
    """One per open period, however many subscriptions there are."""
    await billed_account.publish_plan(PLAIN)
    for _ in range(30):
        await billed_account.subscribe(start=START)
    for as_of, queries in ((START, 0), (FIRST, 1), (SECOND, 2), (THIRD, 3), (at(2027, 5, 1), 3)):
        billed_account.usage.queries.clear()
        await billed_account.run(as_of)
        assert len(billed_account.usage.queries) == queries
