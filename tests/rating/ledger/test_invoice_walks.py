"""Random changes of real invoices: whatever is tried, in whatever order, the ledger keeps its invariants."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.invoice_lifecycle import INVOICE_TRANSITIONS
from rating.ledger.ledger import Ledger, open_ledger
from rating.ledger.migrate import migrate
from schemas.command import Command
from schemas.credit_note import NewCreditNote
from schemas.customer import NewCustomer
from schemas.errors import Conflict, NotFound
from schemas.invoice import (
    FixedDiscount,
    Invoice,
    InvoiceChanges,
    InvoiceStatus,
    LineChanges,
    NewInvoice,
    NewLine,
    PercentDiscount,
)
from schemas.money import to_minor
from schemas.payment import NewPayment
from schemas.tax import TaxRate
from tests.contracts.api_keys import ManualClock

VAT = TaxRate(name="VAT", percent=Decimal(19))
LOW = TaxRate(name="low", percent=Decimal("7.7"))
AMOUNTS = st.integers(-2_000, 5_000)
PARTS = st.integers(1, 4_000)

Attempt = Callable[["Life"], Any]


class Life:
    """One invoice in the ledger, and attempts to change it."""

    def __init__(self, ledger: Ledger, command: Command, customer: str) -> None:
        self.ledger, self.command = ledger, command
        new = NewInvoice(customer_id=customer, lines=(NewLine(quantity=3, unit_amount=333),))
        self.invoice: Invoice = asyncio.run(ledger.invoices.create(command, new)).answer

        self.balance = self.read_balance()

    def read_balance(self) -> int:
        """The customer's balance; all invoices are the same customer's."""
        found = asyncio.run(self.ledger.credits.balances(self.command.account, self.invoice.customer_id))
        return sum(to_minor(balance.amount, balance.denomination.upper()) for balance in found)

    def read(self) -> Invoice:
        return asyncio.run(self.ledger.invoices.get(self.command.account, self.invoice.id))

    def line(self, place: int) -> str:
        lines = self.invoice.lines
        return lines[place % len(lines)].id if lines else "none"


def _invoices(method: str, *args: Any) -> Attempt:
    return lambda life: getattr(life.ledger.invoices, method)(life.command, life.invoice.id, *args)


def _line(method: str, place: int, *args: Any) -> Attempt:
    return lambda life: getattr(life.ledger.invoices, method)(life.command, life.invoice.id, life.line(place), *args)


def _credit(amount: int | None) -> Attempt:
    return lambda life: life.ledger.credit_notes.create(life.command, life.invoice.id, NewCreditNote(amount=amount))


RATES = st.sampled_from([None, (), (VAT,), (VAT, LOW)])
DISCOUNTS = st.sampled_from([None, PercentDiscount(percent=Decimal("12.5")), FixedDiscount(amount_cents=700)])
ATTEMPTS = st.one_of(
    st.builds(
        lambda amount, rates: _invoices("add_line", NewLine(unit_amount=amount, tax_rates=rates)), AMOUNTS, RATES
    ),
    st.builds(
        lambda place, n: _line("update_line", place, LineChanges(quantity=n)), st.integers(0, 5), st.integers(0, 9)
    ),
    st.builds(lambda place: _line("delete_line", place), st.integers(0, 5)),
    st.builds(lambda discount: _invoices("update", InvoiceChanges(discount=discount)), DISCOUNTS),
    st.builds(lambda amount: _invoices("pay", NewPayment(amount=amount)), st.one_of(st.none(), PARTS)),
    st.builds(_credit, st.one_of(st.none(), PARTS)),
    st.just(_invoices("finalize")),
    st.sampled_from([_invoices("void"), _invoices("mark_uncollectible")]),
)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, Command, str]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('walks') / 'ledger.db'}"
    with open_ledger(url, ManualClock(), prepare=migrate) as ledger:
        made = asyncio.run(ledger.accounts.bootstrap(None))
        assert made is not None
        command = Command(account=made[0].account, actor="test", request_id="test")
        customer = asyncio.run(ledger.customers.create(command, NewCustomer(tax_rates=(VAT,)))).answer
        yield ledger, command, customer.id


@given(attempts=st.lists(ATTEMPTS, min_size=5, max_size=25))
def test_random_changes_keep_every_invariant(office: tuple[Ledger, Command, str], attempts: list[Attempt]) -> None:
    """Figures add up, statuses follow the table, a refusal changes nothing, and a final invoice is immutable."""
    life = Life(*office)
    for attempt in attempts:
        before = life.invoice
        try:
            asyncio.run(attempt(life))
        except (Conflict, NotFound):
            assert life.read() == before
            continue
        life.invoice = life.read()
        _check_step(before, life.invoice)
        _check_figures(life.invoice)
        _check_balance(life, before)


def _check_step(before: Invoice, after: Invoice) -> None:
    reachable = {then for (status, _), then in INVOICE_TRANSITIONS.items() if status is before.status}
    # An invoice with nothing due, or no more than the balance has, is paid by the transition that finalizes it.
    is_settled = after.status is InvoiceStatus.PAID and after.paid == max(0, after.total)
    assert after.status in reachable or (before.status is InvoiceStatus.DRAFT and is_settled)
    if before.status is not InvoiceStatus.DRAFT:
        frozen = ("number", "lines", "subtotal", "discount", "tax", "total", "taxes", "due_at", "public_token")
        assert [getattr(after, name) for name in frozen] == [getattr(before, name) for name in frozen]
        assert after.paid >= before.paid
        assert after.credited >= before.credited


def _check_balance(life: Life, before: Invoice) -> None:
    """Only finalizing moves the balance, by what the invoice adds or is paid from it."""
    balance, after = life.read_balance(), life.invoice
    assert balance >= 0
    if before.status is InvoiceStatus.DRAFT is not after.status:
        assert balance - life.balance == (-after.total if after.total < 0 else -after.paid)
        assert after.paid == min(life.balance, max(0, after.total))
    else:
        assert balance == life.balance
    life.balance = balance


def _check_figures(invoice: Invoice) -> None:
    assert sum(line.amount for line in invoice.lines) == invoice.subtotal
    assert sum(line.tax for line in invoice.lines) == invoice.tax
    assert invoice.subtotal - invoice.discount + invoice.tax == invoice.total
    is_final = invoice.status is not InvoiceStatus.DRAFT
    assert is_final == (invoice.number is not None) == (invoice.finalized_at is not None)
    if is_final:
        assert invoice.credited <= max(0, invoice.total)
        assert invoice.paid <= max(0, invoice.total)
    if invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE):
        assert invoice.total == invoice.paid + invoice.due + invoice.credited
    if invoice.status is InvoiceStatus.OPEN:
        assert invoice.due > 0
    if invoice.status is InvoiceStatus.PAID:
        assert invoice.paid + invoice.credited >= invoice.total
        assert invoice.paid_at is not None
