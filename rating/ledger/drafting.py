"""New drafts: one for a request, or thousands for a rating run, written in a few statements."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from msgspec.structs import asdict

from rating.core.totals import totaled
from rating.ledger.billing_settings import get_settings
from rating.ledger.customers import get_customers
from rating.ledger.invoice_rows import invoice_values, line_values
from rating.ledger.invoice_tables import invoice_lines, invoices
from rating.ledger.unit_of_work import AuditedChange, UnitOfWork
from schemas.customer import Customer
from schemas.errors import Invalid
from schemas.invoice import Invoice, InvoiceLine, NewInvoice, NewLine
from schemas.money import exponent


def draft_invoice(work: UnitOfWork, new: NewInvoice) -> Invoice:
    """A draft with its figures. Raises NotFound for the customer, Invalid for what is given."""
    return draft_invoices(work, [new])[0]


def draft_invoices(work: UnitOfWork, new: Sequence[NewInvoice]) -> list[Invoice]:
    """The same of many, in their order; all or none."""
    customers = get_customers(work.connection, work.account, (one.customer_id for one in new))
    currency = get_settings(work.connection, work.account).currency
    drafts = [_draft(work, one, customers[one.customer_id], currency) for one in new]
    if drafts:
        work.connection.execute(sa.insert(invoices), [invoice_values(draft) for draft in drafts])
    insert_lines(work, [(draft.id, line) for draft in drafts for line in draft.lines])
    work.audit_all("invoice.create", [AuditedChange(draft.id, after=draft) for draft in drafts])
    return drafts


def preview_invoice(work: UnitOfWork, new: NewInvoice) -> Invoice:
    """As it would be drafted; nothing is written."""
    customers = get_customers(work.connection, work.account, [new.customer_id])
    return _draft(work, new, customers[new.customer_id], get_settings(work.connection, work.account).currency)


def insert_lines(work: UnitOfWork, lines: Sequence[tuple[str, InvoiceLine]]) -> None:
    """Each with its invoice's id."""
    if lines:
        work.connection.execute(sa.insert(invoice_lines), [line_values(of_invoice, line) for of_invoice, line in lines])


def new_line(work: UnitOfWork, position: int, new: NewLine) -> InvoiceLine:
    """Its figures are reckoned with its invoice's."""
    return InvoiceLine(
        id=work.new_id(),
        position=position,
        reference=new.reference,
        description=new.description,
        quantity=new.quantity,
        unit_amount=new.unit_amount,
        own_tax_rates=new.tax_rates,
        # As it will be read again.
        usage=None if new.usage is None else msgspec.json.decode(msgspec.json.encode(new.usage)),
        period_start=new.period_start,
        period_end=new.period_end,
        created_at=work.now,
        updated_at=work.now,
    )


def check_terms(days_until_due: int | None, due_at: int | None) -> None:
    """Raises Invalid."""
    if days_until_due is not None and due_at is not None:
        raise Invalid("due_date: give either it or days_until_due, not both", field="due_date")


def check_period(billed: Invoice | InvoiceLine) -> None:
    """Raises Invalid."""
    start, end = billed.period_start, billed.period_end
    if start is not None and end is not None and end < start:
        raise Invalid("period_end: the period ends before it begins", field="period_end")


def _draft(work: UnitOfWork, new: NewInvoice, customer: Customer, account_currency: str) -> Invoice:
    check_terms(new.days_until_due, new.due_at)
    currency = new.currency or customer.currency or account_currency
    exponent(currency)
    fields = asdict(new)
    lines = tuple(new_line(work, position, line) for position, line in enumerate(fields.pop("lines")))
    fields |= {"currency": currency, "discount_asked": fields.pop("discount"), "lines": lines}
    draft = Invoice(id=work.new_id(), account=work.account, created_at=work.now, updated_at=work.now, **fields)
    return totaled(draft, customer.tax_rates)
