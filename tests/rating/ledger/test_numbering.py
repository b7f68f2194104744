"""Numbers have no gaps, whatever is killed or rolled back."""

import asyncio
import random
import threading

import pytest

from rating.ledger.finalization import finalize_invoice
from rating.ledger.invoice_drafts import draft_invoice
from rating.ledger.ledger import Ledger, open_ledger
from rating.ledger.migrate import migrate
from rating.ledger.unit_of_work import UnitOfWork
from schemas.command import Command
from schemas.customer import Customer, NewCustomer
from schemas.errors import Refused
from schemas.ids import AccountId
from schemas.invoice import Invoice, InvoiceQuery, InvoiceStatus, NewInvoice, NewLine
from tests.contracts.api_keys import ManualClock
from tests.rating.ledger.finalizing_process import FinalizingProcess

KILLS = [3, pytest.param(12, marks=pytest.mark.long)]


class RunFailed(Exception):
    """Raised by a test where a run would fail."""


def _first_account(ledger: Ledger) -> AccountId:
    made = asyncio.run(ledger.accounts.bootstrap(None))
    assert made is not None
    return made[0].account


def _all(ledger: Ledger, account: AccountId) -> list[Invoice]:
    page = asyncio.run(ledger.invoices.list(InvoiceQuery(account=account, limit=10_000)))
    return list(page.items)


def _numbers(invoices: list[Invoice]) -> list[str]:
    return sorted(invoice.number for invoice in invoices if invoice.number is not None)


def _from_one(count: int) -> list[str]:
    return [f"INV-{number:04}" for number in range(1, count + 1)]


@pytest.mark.parametrize("kills", KILLS)
def test_kill_9_leaves_no_gap(ledger_url: str, kills: int) -> None:
    """A process is killed again and again while finalizing: what it answered is stored, and nothing by half."""
    with open_ledger(ledger_url, ManualClock(), prepare=migrate) as ledger:
        account = _first_account(ledger)
    answered = []
    moment = random.Random(5)
    process = FinalizingProcess(ledger_url, account)
    for _ in range(kills):
        with process:
            answered += process.answered(moment.randint(2, 6))
            # The kill falls between two answers, somewhere in the transaction in progress.
            threading.Event().wait(moment.random() / 50)
    with open_ledger(ledger_url, ManualClock(), prepare=migrate) as ledger:
        invoices = _all(ledger, account)
    numbers = _numbers(invoices)
    assert numbers == _from_one(len(numbers))
    assert set(answered) <= set(numbers)
    assert len(answered) == len(set(answered))
    for invoice in invoices:
        is_open = invoice.status is InvoiceStatus.OPEN
        assert is_open == (invoice.number is not None) == (invoice.public_token is not None)
        assert (invoice.total, [line.amount for line in invoice.lines]) == (150, [100, 50])


@pytest.fixture
def command(ledger_url: str) -> Command:
    with open_ledger(ledger_url, ManualClock(), prepare=migrate) as ledger:
        return Command(account=_first_account(ledger), actor="test", request_id="test")


def _new(customer: Customer) -> NewInvoice:
    return NewInvoice(customer_id=customer.id, lines=(NewLine(unit_amount=1),))


def test_a_rollback_gives_its_numbers_back(ledger_url: str, command: Command) -> None:
    """A transaction of many invoices that fails at its end leaves none of them and no gap."""

    def many(work: UnitOfWork, count: int, *, fail: bool) -> int:
        for _ in range(count):
            finalize_invoice(work, draft_invoice(work, _new(customer)).id)
        if fail:
            raise RunFailed
        return count

    with open_ledger(ledger_url, ManualClock(), prepare=migrate) as ledger:
        transactions = ledger.invoices._transactions
        customer = asyncio.run(ledger.customers.create(command, NewCustomer())).answer
        for fail in (False, True, False):
            if fail:
                with pytest.raises(RunFailed):
                    asyncio.run(transactions.change(command, int, lambda work: many(work, 3, fail=True)))
            else:
                asyncio.run(transactions.change(command, int, lambda work: many(work, 3, fail=False)))
        invoices = _all(ledger, command.account)
    assert _numbers(invoices) == _from_one(6)
    assert len(invoices) == 6


def test_a_refusal_within_a_transaction_takes_no_number(ledger_url: str, command: Command) -> None:
    """A transaction that continues after a refused invoice still numbers without a gap."""

    def run(work: UnitOfWork) -> int:
        line = NewLine(unit_amount=5)
        for lines in ((line,), (), (line,), (), (line,)):
            draft = draft_invoice(work, NewInvoice(customer_id=customer.id, lines=lines))
            try:
                finalize_invoice(work, draft.id)
            except Refused:
                continue
        return 0

    with open_ledger(ledger_url, ManualClock(), prepare=migrate) as ledger:
        customer = asyncio.run(ledger.customers.create(command, NewCustomer())).answer
        asyncio.run(ledger.invoices._transactions.change(command, int, run))
        invoices = _all(ledger, command.account)
    assert _numbers(invoices) == _from_one(3)
    assert sum(invoice.status is InvoiceStatus.DRAFT for invoice in invoices) == 2
