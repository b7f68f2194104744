"""The invoice run bills what is due once, however often, however late and however many runs are concurrent."""

import asyncio
from decimal import Decimal

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from rating.core.billed_usage import from_document
from rating.ledger.engine import create_engine
from rating.ledger.tables import subscriptions
from rating.runs.run import InvoiceRun, RunParameters
from schemas.command import Command
from schemas.invoice import Invoice, InvoiceStatus
from schemas.invoice_run import RunSummary
from schemas.plan import UsagePrice
from schemas.price import PerUnit
from schemas.subscription import Cancellation, ChangeTiming, Refund
from schemas.tax import TaxRate
from tests.rating.ledger.fixtures import on_every_ledger
from tests.rating.runs.billed_account import PRO, WINDOW, BilledAccount, at

pytestmark = pytest.mark.anyio

START = at(2027, 1, 15, 10, 30)
"""Shortly after the time at which the tests' clock starts."""
FIRST, SECOND, THIRD = at(2027, 2, 1), at(2027, 3, 1), at(2027, 4, 1)


def lines_of(invoice: Invoice) -> dict[str | None, int]:
    return {line.reference: line.amount for line in invoice.lines}


@on_every_ledger
async def test_a_subscription_s_first_months(billed_account: BilledAccount) -> None:
    """Fees in advance at the start, then fees and usage at each boundary; stubs by days, every group on its own."""
    await billed_account.publish_plan()
    one = await billed_account.subscribe(start=START, tax_rates=(TaxRate(name="VAT", percent=Decimal(10)),))
    billed_account.record_usage(one, START, 1000, "small")
    billed_account.record_usage(one, FIRST - 1, 50, "large")
    billed_account.record_usage(one, FIRST, 7, "small")
    billed_account.record_usage(one, START - 60_000_000, 999_999, "before it began")
    assert (await billed_account.run(START)).invoices == 1
    assert (await billed_account.run(FIRST)).invoices == 1
    opening, first = await billed_account.invoices(one)
    # 17 of 31 days, from the 15th on.
    assert lines_of(opening) == {"fixed:seat": 1700}
    assert lines_of(first) == {
        "fixed:seat": 3100,
        "fixed:support": 340,
        "usage:tokens": 158,  # 1050 × 0.0015 = 1.575
        'usage:by_model:["large"]': 100,
        'usage:by_model:["small"]': 1100,  # 100 × 0.02 + 900 × 0.01
    }
    assert (first.subtotal, first.tax, first.total) == (4798, 480, 5278)
    assert first.status is InvoiceStatus.DRAFT
    detail = from_document(next(line.usage for line in first.lines if line.reference == "usage:tokens"))
    assert (detail.quantity, detail.amount_exact) == (Decimal(1050), Decimal("1.575"))
    assert detail.watermark == {0: 3}


async def test_a_second_run_bills_nothing(billed_account: BilledAccount) -> None:
    """Nor does one as of an earlier or a slightly later moment."""
    await billed_account.publish_plan()
    one = await billed_account.subscribe(start=START)
    await billed_account.run(FIRST)
    before = await billed_account.invoices(one)
    for as_of in (FIRST, FIRST - 1, FIRST + 1):
        summary = await billed_account.run(as_of)
        assert (summary.turns, summary.invoices) == (0, 0)
    assert await billed_account.invoices(one) == before


async def test_a_late_run_bills_what_punctual_runs_bill(billed_account: BilledAccount) -> None:
    """Each period on its own, with its own usage."""
    await billed_account.publish_plan()
    on_time, late = await billed_account.subscribe(start=START), None
    usage = [(FIRST - 1, 10), (FIRST, 20), (SECOND - 1, 30), (SECOND, 40)]
    for when, value in usage:
        billed_account.record_usage(on_time, when, value)
    for as_of in (START, FIRST, SECOND):
        await billed_account.run(as_of)
    late = await billed_account.subscribe(start=START)
    for when, value in usage:
        billed_account.record_usage(late, when, value)
    assert (await billed_account.run(SECOND)).invoices == 3
    reported = [[lines_of(invoice) for invoice in await billed_account.invoices(one)] for one in (on_time, late)]
    assert reported[0] == reported[1]
    assert [line.get("usage:tokens") for line in reported[0]] == [None, 2, 8]  # 0.015 → 2, 0.075 → 8


@on_every_ledger
async def test_runs_at_once_bill_each_period_once(billed_account: BilledAccount) -> None:
    """The later run finds the step applied."""
    await billed_account.publish_plan()
    many = [await billed_account.subscribe(start=START) for _ in range(20)]
    summaries = await asyncio.gather(*(billed_account.run(SECOND) for _ in range(4)))
    assert sum(summary.turns for summary in summaries) == 3 * 20
    for one in many:
        assert len(await billed_account.invoices(one)) == 3


async def test_a_dry_run_records_nothing(billed_account: BilledAccount) -> None:
    """It reports what the first step of each subscription would bill."""
    await billed_account.publish_plan()
    one = await billed_account.subscribe(start=START)
    summary = await billed_account.run(SECOND, is_dry=True)
    assert (summary.turns, summary.invoices, summary.totals) == (1, 1, {"USD": 1700})
    assert await billed_account.invoices() == []
    assert (await billed_account.ledger.subscriptions.get(one.account, one.id)).prepaid_until is None


async def test_an_account_with_auto_finalize_gets_final_invoices(billed_account: BilledAccount) -> None:
    """They are numbered without a gap; one below zero adds to the customer's balance, and is counted."""
    await billed_account.publish_plan()
    await billed_account.publish_plan(replace(PRO, code="light", usage_prices=(), fixed_fees=PRO.fixed_fees[:1]))
    await billed_account.set_billing_settings(auto_finalize=True)
    staying, leaving = (
        await billed_account.subscribe(start=START),
        await billed_account.subscribe(start=START, code="light"),
    )
    await billed_account.run(START)
    billed_account.clock.now += 1
    command = Command(account=leaving.account, actor="test", request_id="r")
    now = Cancellation(cancel_mode=ChangeTiming.NOW, cancel_now_prepaid_refund_policy=Refund.PRORATE)
    await billed_account.ledger.subscriptions.cancel(command, leaving.id, now)
    summary = await billed_account.run(FIRST)
    assert (summary.invoices, summary.finalized, summary.below_zero) == (2, 2, 1)
    numbers = sorted(invoice.number for invoice in await billed_account.invoices() if invoice.number is not None)
    assert numbers == ["INV-0001", "INV-0002", "INV-0003", "INV-0004"]
    reported = {invoice.status: lines_of(invoice) for invoice in await billed_account.invoices(leaving)}
    assert reported == {InvoiceStatus.OPEN: {"fixed:seat": 1700}, InvoiceStatus.PAID: {"refund:seat": -1600}}
    (balance,) = await billed_account.ledger.credits.balances(leaving.account, leaving.customer_id)
    assert (balance.denomination, balance.amount) == ("usd", Decimal(16))
    assert all(invoice.status is InvoiceStatus.OPEN for invoice in await billed_account.invoices(staying))


async def test_only_subscriptions_of_a_meter_that_is_still_counting_wait(billed_account: BilledAccount) -> None:
    """The others are billed; those that wait are billed once the meter is ready."""
    await billed_account.publish_plan()
    await billed_account.publish_plan(replace(PRO, code="flat", usage_prices=()))
    metered, flat = (
        await billed_account.subscribe(start=START),
        await billed_account.subscribe(start=START, code="flat"),
    )
    await billed_account.run(START)
    billed_account.usage.is_backfilled = False
    summary = await billed_account.run(FIRST)
    assert (summary.turns, len(summary.waiting)) == (1, 1)
    assert metered.id in summary.waiting[0]
    assert len(await billed_account.invoices(flat)) == 2
    billed_account.usage.is_backfilled = True
    assert (await billed_account.run(FIRST)).turns == 1
    assert len(await billed_account.invoices(metered)) == 2


async def test_a_subscription_that_cannot_be_billed_does_not_stop_the_others(billed_account: BilledAccount) -> None:
    """The summary names the one whose amount exceeds what the ledger holds."""
    expensive = UsagePrice(code="tokens", name="Tokens", meter="tokens", price=PerUnit(unit_price=Decimal(900_000_000)))
    await billed_account.publish_plan(replace(PRO, usage_prices=(expensive,)))
    many = [await billed_account.subscribe(start=START) for _ in range(7)]
    await billed_account.run(START)
    billed_account.record_usage(many[3], START, 10**14)
    summary = await billed_account.run(FIRST)
    assert (summary.turns, len(summary.waiting)) == (6, 1)
    assert many[3].id in summary.waiting[0]
    assert "more than a ledger holds" in summary.waiting[0]
    assert [len(await billed_account.invoices(one)) for one in many] == [2, 2, 2, 1, 2, 2, 2]


async def test_a_run_reports_its_progress(billed_account: BilledAccount) -> None:
    """After each batch, with the number due at the start."""
    await billed_account.publish_plan()
    for _ in range(3):
        await billed_account.subscribe(start=START)
    reported: list[tuple[int, int]] = []

    def on_progress(summary: RunSummary, due: int) -> None:
        reported.append((summary.turns, due))

    run = InvoiceRun(
        billed_account.ledger.billing, billed_account.usage, billed_account.ledger.meters, late_window=WINDOW
    )
    await run.run(RunParameters(as_of=START, run_id="run_1"), on_progress)
    assert reported == [(0, 3), (3, 3)]


@pytest.mark.parametrize("period_end", [-(2**63), 2**63 - 1])
async def test_a_subscription_that_no_calendar_reaches_holds_up_no_other(
    billed_account: BilledAccount, migrated_url: str, period_end: int
) -> None:
    """A row that no request could have stored waits with its reason; its neighbours are billed."""
    await billed_account.publish_plan()
    one, other = await billed_account.subscribe(start=START), await billed_account.subscribe(start=START)
    engine = create_engine(migrated_url)
    broken = {"period_end": period_end, "due_at": START}
    with engine.begin() as connection:
        connection.execute(sa.update(subscriptions).where(subscriptions.c.id == one.id).values(broken))
    engine.dispose()
    summary = await billed_account.run(START)
    assert [one.id in reason for reason in summary.waiting] == [True]
    assert len(await billed_account.invoices(other)) == 1
