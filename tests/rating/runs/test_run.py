"""The invoice run bills whatever is due, once, however often, however late and however many at once."""

import asyncio
from decimal import Decimal

import pytest
from msgspec.structs import replace

from rating.core.billed_usage import from_document
from rating.runs.run import InvoiceRun, Order
from schemas.command import Act
from schemas.invoice import Invoice, InvoiceStatus
from schemas.invoice_run import Summary
from schemas.plan import UsagePrice
from schemas.price import PerUnit
from schemas.subscribing import Cancellation, ChangeTiming, Refund
from schemas.tax import TaxRate
from tests.rating.runs.billed_account import PRO, WINDOW, Books, at

pytestmark = pytest.mark.anyio

START = at(2027, 1, 15, 10, 30)
"""The clock of the tests stands a little before."""
FIRST, SECOND, THIRD = at(2027, 2, 1), at(2027, 3, 1), at(2027, 4, 1)


def lines_of(invoice: Invoice) -> dict[str | None, int]:
    return {line.reference: line.amount for line in invoice.lines}


async def test_a_subscription_s_first_months(books: Books) -> None:
    """Fees in advance at the start, then fees and usage at each boundary; stubs by days, every group by itself."""
    await books.offer()
    one = await books.subscribe(start=START, tax_rates=(TaxRate(name="VAT", percent=Decimal(10)),))
    books.use(one, START, 1000, "small")
    books.use(one, FIRST - 1, 50, "large")
    books.use(one, FIRST, 7, "small")
    books.use(one, START - 60_000_000, 999_999, "before it began")
    assert (await books.run(START)).invoices == 1
    assert (await books.run(FIRST)).invoices == 1
    opening, first = await books.invoices(one)
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


async def test_a_second_run_finds_nothing_to_do(books: Books) -> None:
    """Nor does a third, nor one as of an earlier moment."""
    await books.offer()
    one = await books.subscribe(start=START)
    await books.run(FIRST)
    before = await books.invoices(one)
    for as_of in (FIRST, FIRST - 1, FIRST + 1):
        summary = await books.run(as_of)
        assert (summary.turns, summary.invoices) == (0, 0)
    assert await books.invoices(one) == before


async def test_a_late_run_bills_what_runs_on_time_would_have(books: Books) -> None:
    """Each period by itself, with its own usage."""
    await books.offer()
    on_time, late = await books.subscribe(start=START), None
    usage = [(FIRST - 1, 10), (FIRST, 20), (SECOND - 1, 30), (SECOND, 40)]
    for when, value in usage:
        books.use(on_time, when, value)
    for as_of in (START, FIRST, SECOND):
        await books.run(as_of)
    late = await books.subscribe(start=START)
    for when, value in usage:
        books.use(late, when, value)
    assert (await books.run(SECOND)).invoices == 3
    told = [[lines_of(invoice) for invoice in await books.invoices(one)] for one in (on_time, late)]
    assert told[0] == told[1]
    assert [line.get("usage:tokens") for line in told[0]] == [None, 2, 8]  # 0.015 → 2, 0.075 → 8


async def test_runs_at_once_bill_each_period_once(books: Books) -> None:
    """Whoever comes second finds the turn taken."""
    await books.offer()
    many = [await books.subscribe(start=START) for _ in range(20)]
    summaries = await asyncio.gather(*(books.run(SECOND) for _ in range(4)))
    assert sum(summary.turns for summary in summaries) == 3 * 20
    for one in many:
        assert len(await books.invoices(one)) == 3


async def test_a_dry_run_keeps_nothing(books: Books) -> None:
    """It says what the first turn of each would come to."""
    await books.offer()
    one = await books.subscribe(start=START)
    summary = await books.run(SECOND, is_dry=True)
    assert (summary.turns, summary.invoices, summary.totals) == (1, 1, {"USD": 1700})
    assert await books.invoices() == []
    assert (await books.ledger.subscriptions.get(one.account, one.id)).prepaid_until is None


async def test_an_account_may_have_them_finalized(books: Books) -> None:
    """Numbered without gap, and counted: those that come to less than nothing leave their rest to the customer."""
    await books.offer()
    await books.offer(replace(PRO, code="light", usage_prices=(), fixed_fees=PRO.fixed_fees[:1]))
    await books.decide(auto_finalize=True)
    staying, leaving = await books.subscribe(start=START), await books.subscribe(start=START, code="light")
    await books.run(START)
    books.clock.now += 1
    act = Act(account=leaving.account, actor="test", request_id="r")
    now = Cancellation(cancel_mode=ChangeTiming.NOW, cancel_now_prepaid_refund_policy=Refund.PRORATE)
    await books.ledger.subscriptions.cancel(act, leaving.id, now)
    summary = await books.run(FIRST)
    assert (summary.invoices, summary.finalized, summary.below_zero) == (2, 2, 1)
    numbers = sorted(invoice.number for invoice in await books.invoices() if invoice.number is not None)
    assert numbers == ["INV-0001", "INV-0002", "INV-0003", "INV-0004"]
    told = {invoice.status: lines_of(invoice) for invoice in await books.invoices(leaving)}
    assert told == {InvoiceStatus.OPEN: {"fixed:seat": 1700}, InvoiceStatus.PAID: {"refund:seat": -1600}}
    (balance,) = await books.ledger.credits.balances(leaving.account, leaving.customer_id)
    assert (balance.denomination, balance.amount) == ("usd", Decimal(16))
    assert all(invoice.status is InvoiceStatus.OPEN for invoice in await books.invoices(staying))


async def test_what_a_meter_is_not_ready_for_waits_and_nothing_else(books: Books) -> None:
    """A meter that still counts its past would say too little."""
    await books.offer()
    await books.offer(replace(PRO, code="flat", usage_prices=()))
    metered, flat = await books.subscribe(start=START), await books.subscribe(start=START, code="flat")
    await books.run(START)
    books.usage.past_is_done = False
    summary = await books.run(FIRST)
    assert (summary.turns, len(summary.waiting)) == (1, 1)
    assert metered.id in summary.waiting[0]
    assert len(await books.invoices(flat)) == 2
    books.usage.past_is_done = True
    assert (await books.run(FIRST)).turns == 1
    assert len(await books.invoices(metered)) == 2


async def test_one_that_cannot_be_billed_keeps_nobody_else_from_it(books: Books) -> None:
    """An amount that no ledger holds: it is told whose it is, and everybody else is billed."""
    dear = UsagePrice(code="tokens", name="Tokens", meter="tokens", price=PerUnit(unit_price=Decimal(900_000_000)))
    await books.offer(replace(PRO, usage_prices=(dear,)))
    many = [await books.subscribe(start=START) for _ in range(7)]
    await books.run(START)
    books.use(many[3], START, 10**14)
    summary = await books.run(FIRST)
    assert (summary.turns, len(summary.waiting)) == (6, 1)
    assert many[3].id in summary.waiting[0]
    assert "more than a ledger holds" in summary.waiting[0]
    assert [len(await books.invoices(one)) for one in many] == [2, 2, 2, 1, 2, 2, 2]


async def test_a_run_tells_how_far_it_is(books: Books) -> None:
    """As it goes, against what was due at the start."""
    await books.offer()
    for _ in range(3):
        await books.subscribe(start=START)
    told: list[tuple[int, int]] = []

    def tell(summary: Summary, due: int) -> None:
        told.append((summary.turns, due))

    run = InvoiceRun(books.ledger.billing, books.usage, books.ledger.meters, late_window=WINDOW)
    await run.run(Order(as_of=START, run_id="run_1"), tell)
    assert told == [(0, 3), (3, 3)]
