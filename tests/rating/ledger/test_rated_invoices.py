"""Invoices as a run makes them: rated lines with their decimals, many in one transaction, once each."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from rating.core.lines import charge_lines, to_new_line
from rating.core.pricing import charge
from rating.core.proration import WHOLE, ServicePeriod
from rating.ledger.finalization import finalize_invoices
from rating.ledger.invoice_drafts import draft_invoice, draft_invoices
from rating.ledger.ledger import Ledger, open_ledger
from rating.ledger.migrate import migrate
from rating.ledger.tables import plans, subscriptions
from rating.ledger.unit_of_work import UnitOfWork
from schemas.command import Command
from schemas.customer import NewCustomer
from schemas.errors import Conflict
from schemas.invoice import Invoice, InvoiceStatus, NewInvoice, NewLine
from schemas.plan import UsagePrice
from schemas.price import PerUnit
from schemas.timestamps import DAY, Micros
from tests.contracts.api_keys import ManualClock

START, END = Micros(1_790_000_000_000_000), Micros(1_790_000_000_000_000 + 30 * DAY)
CALLS = UsagePrice(code="calls", name="Calls", meter="calls", price=PerUnit(unit_price=Decimal("0.0025")))


class Run:
    """A ledger with a subscribed customer, and a job that bills the subscription."""

    def __init__(self, ledger: Ledger) -> None:
        made = asyncio.run(ledger.accounts.bootstrap(None))
        assert made is not None
        self.ledger = ledger
        self.command = Command(account=made[0].account, actor="rating", request_id="run")
        self.customer = asyncio.run(ledger.customers.create(self.command, NewCustomer())).answer.id
        self.change(_subscribe(self.customer))

    def change(self, change: Callable[[UnitOfWork], Any]) -> Any:
        return asyncio.run(self.ledger.invoices._transactions.change(self.command, object, change)).answer

    def new(self, *lines: NewLine, subscription_id: str = "subscription") -> NewInvoice:
        return NewInvoice(
            customer_id=self.customer,
            subscription_id=subscription_id,
            period_start=START,
            period_end=END,
            lines=lines or (NewLine(unit_amount=100),),
        )


def _subscribe(customer: str) -> Callable[[UnitOfWork], None]:
    def change(work: UnitOfWork) -> None:
        times = {"created_at": 1, "updated_at": 1}
        plan = {"id": "plan", "account_id": work.account, "code": "pro", "name": "Pro", "newest_version": 1, **times}
        work.connection.execute(sa.insert(plans).values(plan))
        work.connection.execute(
            sa.insert(subscriptions).values(
                id="subscription",
                account_id=work.account,
                customer_id=customer,
                plan_id="plan",
                plan_version=1,
                status="active",
                billing_anchor_day=1,
                timezone="UTC",
                start_at=START,
                period_start=START,
                period_end=END,
                details="{}",
                **times,
            )
        )

    return change


@pytest.fixture
def run(ledger_url: str, clock: ManualClock) -> Iterator[Run]:
    with open_ledger(ledger_url, clock, prepare=migrate) as ledger:
        yield Run(ledger)


def _rated(quantity: str) -> list[NewLine]:
    charged = charge(CALLS, {(): Decimal(quantity)}, "USD")
    service = ServicePeriod(start=START, end=END, portion=WHOLE)
    return [to_new_line(line, line.usage) for line in charge_lines(CALLS, charged, "USD", service)]


def test_exact_decimals_are_read_back_as_they_were_rated(run: Run) -> None:
    """Quantity, terms and reference, to the last digit; the line has the rounded amount."""
    made = run.change(lambda work: draft_invoice(work, run.new(*_rated("1234.000000000001"))))
    kept = asyncio.run(run.ledger.invoices.get(run.command.account, made.id))
    assert kept == made
    (line,) = kept.lines
    assert (line.reference, line.amount, line.period_start, line.period_end) == ("usage:calls", 309, START, END)
    assert line.usage["quantity"] == "1234.000000000001"
    assert line.usage["terms"]["unit_price"] == "0.0025"
    assert Decimal(line.usage["amount_exact"]) == Decimal("3.0850000000000025")


def test_many_are_made_and_finalized_in_one_transaction(run: Run) -> None:
    """Numbered in the order in which they were finalized."""

    def bill(work: UnitOfWork) -> list[Invoice]:
        drafts = draft_invoices(work, [run.new(*_rated("4000"))] * 20)
        # Named twice, an invoice is still finalized once.
        return finalize_invoices(work, [draft.id for draft in (*drafts, drafts[3])])

    invoices = run.change(bill)
    assert [invoice.number for invoice in invoices] == [f"INV-{number:04}" for number in range(1, 21)]
    kept = asyncio.run(run.ledger.invoices.get(run.command.account, invoices[7].id))
    assert kept == invoices[7]
    assert (kept.status, kept.total, kept.period_start) == (InvoiceStatus.OPEN, 1000, START)


def test_one_reference_is_billed_once_in_an_invoice(run: Run) -> None:
    """The database itself refuses the second."""
    lines = (NewLine(unit_amount=1, reference="a"), NewLine(unit_amount=2, reference="a"))
    with pytest.raises(Conflict):
        run.change(lambda work: draft_invoice(work, run.new(*lines)))


def test_a_draft_of_a_period_is_voided_not_deleted(run: Run) -> None:
    """Its period stays billed; it has no number, and is immutable from then on."""
    invoices, account = run.ledger.invoices, run.command.account
    draft = run.change(lambda work: draft_invoice(work, run.new()))
    with pytest.raises(Conflict, match="void it instead") as refused:
        asyncio.run(invoices.delete(run.command, draft.id))
    assert refused.value.code == "INVOICE_BILLS_SUBSCRIPTION"
    void = asyncio.run(invoices.void(run.command, draft.id)).answer
    assert (void.status, void.number, void.due) == (InvoiceStatus.VOID, None, 0)
    with pytest.raises(Conflict, match="is void and cannot be finalized"):
        asyncio.run(invoices.finalize(run.command, draft.id))
    assert asyncio.run(invoices.get(account, draft.id)) == void


def test_amounts_of_a_run_may_be_larger_than_a_request_s(run: Run) -> None:
    """Up to what the columns hold."""
    largest = NewLine(quantity=2**62, unit_amount=1)
    made = run.change(lambda work: draft_invoice(work, run.new(largest)))
    assert asyncio.run(run.ledger.invoices.get(run.command.account, made.id)).total == 2**62


def test_one_invoice_that_cannot_be_finalized_stops_all(run: Run) -> None:
    """None of the batch is finalized, and no number is lost."""
    drafts = run.change(lambda work: draft_invoices(work, [run.new(), replace(run.new(), lines=()), run.new()]))
    with pytest.raises(Conflict, match="has no lines"):
        run.change(lambda work: finalize_invoices(work, [draft.id for draft in drafts]))
    (only,) = run.change(lambda work: finalize_invoices(work, [drafts[2].id]))
    assert only.number == "INV-0001"


def test_invoices_finalized_together_use_a_balance_in_their_order(run: Run) -> None:
    """Each uses what the ones before it left; an invoice below zero adds for those after it."""

    def bill(work: UnitOfWork) -> list[Invoice]:
        drafts = draft_invoices(work, [run.new(NewLine(unit_amount=amount)) for amount in (50, -120, 100, 30, 5)])
        return finalize_invoices(work, [draft.id for draft in drafts])

    final = run.change(bill)
    assert [(invoice.paid, invoice.due) for invoice in final] == [(0, 50), (0, 0), (100, 0), (20, 10), (0, 5)]
    assert [invoice.status is InvoiceStatus.PAID for invoice in final] == [False, True, True, False, False]
    kept = asyncio.run(run.ledger.invoices.get(run.command.account, final[3].id))
    assert kept == final[3]
    assert asyncio.run(run.ledger.credits.balances(run.command.account, run.customer)) == []


def test_an_empty_batch_is_allowed(run: Run) -> None:
    """As in a period in which no subscription is billed."""
    assert run.change(lambda work: draft_invoices(work, [])) == []
    assert run.change(lambda work: finalize_invoices(work, [])) == []
