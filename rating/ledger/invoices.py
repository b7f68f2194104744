"""Invoices in the ledger, through all their changes."""

from collections.abc import Sequence

import sqlalchemy as sa

from rating.ledger.balances import get_balance_change
from rating.ledger.customers import get_customer
from rating.ledger.database import Database
from rating.ledger.finalization import finalize_invoice
from rating.ledger.invoice_drafts import (
    add_line,
    delete_invoice,
    delete_line,
    draft_invoice,
    update_invoice,
    update_line,
)
from rating.ledger.invoice_rows import get_invoice, with_lines
from rating.ledger.invoice_tables import invoices
from rating.ledger.payments import list_payments, mark_invoice_uncollectible, pay_invoice, void_invoice
from rating.ledger.rows import newest_first
from rating.ledger.unit_of_work import Transactions
from schemas.command import Applied, Command
from schemas.errors import NotFound
from schemas.ids import AccountId
from schemas.invoice import Invoice, InvoiceChanges, InvoiceQuery, LineChanges, NewInvoice, NewLine, PublicInvoice
from schemas.listing import Page
from schemas.payment import NewPayment, Payment, PaymentResult

_EXACT = ("customer_id", "subscription_id", "status", "number")


class SqlInvoices:
    """The invoices of all accounts."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def create(self, command: Command, new: NewInvoice) -> Applied[Invoice]:
        """Raises NotFound if the customer does not exist, or Invalid."""
        return await self._transactions.change(command, Invoice, lambda work: draft_invoice(work, new))

    async def update(self, command: Command, invoice_id: str, changes: InvoiceChanges) -> Applied[Invoice]:
        """Raises NotFound, or Conflict if the status forbids it, as all changes below do."""
        return await self._transactions.change(command, Invoice, lambda work: update_invoice(work, invoice_id, changes))

    async def delete(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        return await self._transactions.change(command, Invoice, lambda work: delete_invoice(work, invoice_id))

    async def add_line(self, command: Command, invoice_id: str, new: NewLine) -> Applied[Invoice]:
        return await self._transactions.change(command, Invoice, lambda work: add_line(work, invoice_id, new))

    async def update_line(
        self, command: Command, invoice_id: str, line_id: str, changes: LineChanges
    ) -> Applied[Invoice]:
        return await self._transactions.change(
            command, Invoice, lambda work: update_line(work, invoice_id, line_id, changes)
        )

    async def delete_line(self, command: Command, invoice_id: str, line_id: str) -> Applied[Invoice]:
        return await self._transactions.change(command, Invoice, lambda work: delete_line(work, invoice_id, line_id))

    async def finalize(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        return await self._transactions.change(command, Invoice, lambda work: finalize_invoice(work, invoice_id))

    async def void(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        return await self._transactions.change(command, Invoice, lambda work: void_invoice(work, invoice_id))

    async def mark_uncollectible(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        return await self._transactions.change(
            command, Invoice, lambda work: mark_invoice_uncollectible(work, invoice_id)
        )

    async def pay(self, command: Command, invoice_id: str, new: NewPayment) -> Applied[PaymentResult]:
        """Also raises Conflict for more than is due."""
        return await self._transactions.change(command, PaymentResult, lambda work: pay_invoice(work, invoice_id, new))

    async def payments(self, account: AccountId, invoice_id: str) -> Sequence[Payment]:
        """In the order in which they were paid. Raises NotFound if the invoice does not exist."""
        return await list_payments(self._database, account, invoice_id)

    async def get(self, account: AccountId, invoice_id: str) -> Invoice:
        """Raises NotFound."""
        return await self._database.read_inline(lambda connection: get_invoice(connection, account, invoice_id))

    async def by_token(self, token: str) -> PublicInvoice:
        """The final invoice of any account with this secret address. Raises NotFound."""
        return await self._database.read(lambda connection: _public(connection, token))

    async def list(self, query: InvoiceQuery) -> Page:
        """Newest first, with their lines."""
        return await self._database.read(lambda connection: _page(connection, query))


def _public(connection: sa.Connection, token: str) -> PublicInvoice:
    row = connection.execute(sa.select(invoices).where(invoices.c.public_token == token)).one_or_none()
    if row is None:
        raise NotFound("there is no invoice at this address")
    (invoice,) = with_lines(connection, [row])
    return PublicInvoice(
        invoice=invoice,
        customer=get_customer(connection, invoice.account, invoice.customer_id),
        balance_change=get_balance_change(connection, invoice.id),
    )


def _page(connection: sa.Connection, query: InvoiceQuery) -> Page:
    rows = sa.select(invoices).where(invoices.c.account_id == query.account)
    for name in _EXACT:
        if (value := getattr(query, name)) is not None:
            rows = rows.where(invoices.c[name] == value)
    if query.period_start is not None:
        rows = rows.where(invoices.c.period_start >= query.period_start)
    if query.period_end is not None:
        rows = rows.where(invoices.c.period_end <= query.period_end)
    found = newest_first(connection, rows, invoices.c.id, (query.limit, query.cursor), lambda row: row)
    return Page(items=tuple(with_lines(connection, found.items)), next_cursor=found.next_cursor)
