"""Draft invoices: created one or thousands at a time, changed as a whole or line by line, deleted."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec.structs import asdict, replace

from rating.core.invoice_lifecycle import InvoiceTransition, next_status
from rating.core.totals import totaled
from rating.ledger.billing_settings import get_settings
from rating.ledger.customers import get_customer, get_customers
from rating.ledger.invoice_rows import get_invoice, invoice_values, line_values, save_changed_columns, without_lines
from rating.ledger.invoice_tables import invoice_lines, invoices
from rating.ledger.rows import set_fields
from rating.ledger.unit_of_work import AuditedChange, UnitOfWork
from schemas.customer import Customer
from schemas.errors import Conflict, Invalid, NotFound
from schemas.invoice import (
    Invoice,
    InvoiceChanges,
    InvoiceLine,
    LineChanges,
    NewInvoice,
    NewLine,
    TaxRates,
)
from schemas.money import exponent


def draft_invoice(work: UnitOfWork, new: NewInvoice) -> Invoice:
    """A draft with its figures. Raises NotFound if the customer does not exist, or Invalid."""
    return draft_invoices(work, [new])[0]


def draft_invoices(work: UnitOfWork, new: Sequence[NewInvoice]) -> list[Invoice]:
    """Drafts of many invoices, in this order; all or none."""
    customers = get_customers(work.connection, work.account, (one.customer_id for one in new))
    currency = get_settings(work.connection, work.account).currency
    drafts = [_draft(work, one, customers[one.customer_id], currency) for one in new]
    if drafts:
        work.connection.execute(sa.insert(invoices), [invoice_values(draft) for draft in drafts])
    insert_lines(work, [(draft.id, line) for draft in drafts for line in draft.lines])
    work.audit_all("invoice.create", [AuditedChange(draft.id, after=draft) for draft in drafts])
    return drafts


def preview_invoice(work: UnitOfWork, new: NewInvoice) -> Invoice:
    """The draft that `draft_invoice` would make, without storing it."""
    customers = get_customers(work.connection, work.account, [new.customer_id])
    return _draft(work, new, customers[new.customer_id], get_settings(work.connection, work.account).currency)


def insert_lines(work: UnitOfWork, lines: Sequence[tuple[str, InvoiceLine]]) -> None:
    """Inserts lines, each with its invoice's id."""
    if lines:
        work.connection.execute(sa.insert(invoice_lines), [line_values(of_invoice, line) for of_invoice, line in lines])


def new_line(work: UnitOfWork, position: int, new: NewLine) -> InvoiceLine:
    """A line without figures, which are calculated with its invoice's."""
    return InvoiceLine(
        id=work.new_id(),
        position=position,
        reference=new.reference,
        description=new.description,
        quantity=new.quantity,
        unit_amount=new.unit_amount,
        own_tax_rates=new.tax_rates,
        # The usage is what a reader of the line gets from the ledger.
        usage=None if new.usage is None else msgspec.json.decode(msgspec.json.encode(new.usage)),
        period_start=new.period_start,
        period_end=new.period_end,
        created_at=work.now,
        updated_at=work.now,
    )


def check_terms(days_until_due: int | None, due_at: int | None) -> None:
    """Raises Invalid if both terms are given."""
    if days_until_due is not None and due_at is not None:
        raise Invalid("due_date: give either it or days_until_due, not both", field="due_date")


def check_period(billed: Invoice | InvoiceLine) -> None:
    """Raises Invalid if the period ends before it begins."""
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


MAX_LINES = 1000


def update_invoice(work: UnitOfWork, invoice_id: str, changes: InvoiceChanges) -> Invoice:
    """Raises NotFound, Invalid, or Conflict if the invoice is not a draft."""
    before = _locked_draft(work, invoice_id)
    fields = set_fields(changes)
    if "discount" in fields:
        fields["discount_asked"] = fields.pop("discount")
    # Setting one of the two terms clears the other.
    if fields.get("days_until_due") is not None:
        fields.setdefault("due_at", None)
    if fields.get("due_at") is not None:
        fields.setdefault("days_until_due", None)
    changed = replace(before, **fields)
    check_terms(changed.days_until_due, changed.due_at)
    check_period(changed)
    changed = _save_draft(work, before, changed)
    work.audit("invoice.update", invoice_id, without_lines(before), without_lines(changed))
    return changed


def add_line(work: UnitOfWork, invoice_id: str, new: NewLine) -> Invoice:
    """Adds a last line. Raises NotFound, or Conflict if the invoice is not a draft, or full."""
    before = _locked_draft(work, invoice_id)
    if len(before.lines) >= MAX_LINES:
        raise Conflict(
            f"invoice {invoice_id} has {MAX_LINES} lines, which is the most; put further lines on another invoice",
            code="INVOICE_IS_FULL",
        )
    line = new_line(work, max((line.position for line in before.lines), default=-1) + 1, new)
    changed = _save_draft(work, before, replace(before, lines=(*before.lines, line)))
    work.audit("invoice.line.create", invoice_id, after=changed.lines[-1])
    return changed


def update_line(work: UnitOfWork, invoice_id: str, line_id: str, changes: LineChanges) -> Invoice:
    """Raises NotFound, or Conflict if the invoice is not a draft."""
    before = _locked_draft(work, invoice_id)
    place = _place(before, line_id)
    fields = set_fields(changes)
    if "tax_rates" in fields:
        fields["own_tax_rates"] = fields.pop("tax_rates")
    lines = list(before.lines)
    lines[place] = replace(lines[place], **fields)
    check_period(lines[place])
    changed = _save_draft(work, before, replace(before, lines=tuple(lines)))
    work.audit("invoice.line.update", invoice_id, before.lines[place], changed.lines[place])
    return changed


def delete_line(work: UnitOfWork, invoice_id: str, line_id: str) -> Invoice:
    """Raises NotFound, or Conflict if the invoice is not a draft."""
    before = _locked_draft(work, invoice_id)
    place = _place(before, line_id)
    changed = _save_draft(work, before, replace(before, lines=(*before.lines[:place], *before.lines[place + 1 :])))
    work.audit("invoice.line.delete", invoice_id, before=before.lines[place])
    return changed


def delete_invoice(work: UnitOfWork, invoice_id: str) -> Invoice:
    """Raises NotFound, or Conflict if the invoice is not a draft or bills a subscription."""
    draft = get_invoice(work.connection, work.account, invoice_id, lock=True)
    next_status(draft.status, InvoiceTransition.DELETE, draft.id)
    if draft.subscription_id is not None:
        raise Conflict(
            f"invoice {invoice_id} is a draft that bills subscription {draft.subscription_id}, whose period would be "
            "billed by nothing; void it instead",
            code="INVOICE_BILLS_SUBSCRIPTION",
        )
    work.connection.execute(sa.delete(invoice_lines).where(invoice_lines.c.invoice_id == invoice_id))
    work.connection.execute(sa.delete(invoices).where(invoices.c.id == invoice_id))
    work.audit("invoice.delete", invoice_id, before=draft)
    return draft


def _locked_draft(work: UnitOfWork, invoice_id: str) -> Invoice:
    draft = get_invoice(work.connection, work.account, invoice_id, lock=True)
    next_status(draft.status, InvoiceTransition.CHANGE, draft.id)
    return draft


def _save_draft(work: UnitOfWork, before: Invoice, changed: Invoice) -> Invoice:
    """Recalculates the draft's figures, and writes what differs from before."""
    rates: TaxRates = get_customer(work.connection, work.account, before.customer_id).tax_rates
    changed = totaled(replace(changed, updated_at=max(work.now, before.updated_at)), rates)
    known = {line.id: line for line in before.lines}
    lines = tuple(_stamped(known.get(line.id), line, work.now) for line in changed.lines)
    changed = replace(changed, lines=lines)
    save_changed_columns(work.connection, before, changed)
    insert_lines(work, [(before.id, line) for line in lines if line.id not in known])
    _update_lines(work, before.id, [line for line in lines if line.id in known and line != known[line.id]])
    if gone := known.keys() - {line.id for line in lines}:
        work.connection.execute(sa.delete(invoice_lines).where(invoice_lines.c.id.in_(list(gone))))
    return changed


def _stamped(before: InvoiceLine | None, line: InvoiceLine, now: int) -> InvoiceLine:
    return line if before in (None, line) else replace(line, updated_at=max(now, line.updated_at))


def _update_lines(work: UnitOfWork, invoice_id: str, lines: Sequence[InvoiceLine]) -> None:
    if lines:
        this = invoice_lines.c.id == sa.bindparam("this")
        values = [line_values(invoice_id, line) for line in lines]
        columns: dict[str, Any] = {name: sa.bindparam(name) for name in values[0]}
        update = sa.update(invoice_lines).where(this).values(columns)
        work.connection.execute(update, [{**row, "this": row["id"]} for row in values])


def _place(invoice: Invoice, line_id: str) -> int:
    for place, line in enumerate(invoice.lines):
        if line.id == line_id:
            return place
    raise NotFound(f"invoice {invoice.id} has no line {line_id!r}")
