"""Drafts: changed as a whole and line by line, thrown away. Every change reckons all figures anew."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace

from rating.core.invoice_lifecycle import InvoiceTransition, after
from rating.core.totals import totaled
from rating.ledger.changes import set_fields
from rating.ledger.customers import get_customer
from rating.ledger.drafting import check_period, check_terms, insert_lines, new_line
from rating.ledger.invoice_rows import get_invoice, line_values, save_changed_columns, without_lines
from rating.ledger.invoice_tables import invoice_lines, invoices
from rating.ledger.unit_of_work import UnitOfWork
from schemas.errors import Conflict, NotFound
from schemas.invoice import (
    Invoice,
    InvoiceChanges,
    InvoiceLine,
    LineChanges,
    NewLine,
    TaxRates,
)

MAX_LINES = 1000


def update_invoice(work: UnitOfWork, invoice_id: str, changes: InvoiceChanges) -> Invoice:
    """Raises NotFound, Invalid, or Conflict where it is no draft."""
    before = _locked_draft(work, invoice_id)
    fields = set_fields(changes)
    if "discount" in fields:
        fields["discount_asked"] = fields.pop("discount")
    # Who gives one of the two means it instead of the other.
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
    """At the end. Raises NotFound, or Conflict where the invoice is no draft, or full."""
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
    """Raises NotFound, or Conflict where the invoice is no draft."""
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
    """Raises NotFound, or Conflict where the invoice is no draft."""
    before = _locked_draft(work, invoice_id)
    place = _place(before, line_id)
    changed = _save_draft(work, before, replace(before, lines=(*before.lines[:place], *before.lines[place + 1 :])))
    work.audit("invoice.line.delete", invoice_id, before=before.lines[place])
    return changed


def delete_invoice(work: UnitOfWork, invoice_id: str) -> Invoice:
    """Of a draft nothing stays. Raises NotFound, or Conflict where it is none, or bills a subscription."""
    draft = get_invoice(work.connection, work.account, invoice_id, lock=True)
    after(draft.status, InvoiceTransition.DELETE, draft.id)
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
    after(draft.status, InvoiceTransition.CHANGE, draft.id)
    return draft


def _save_draft(work: UnitOfWork, before: Invoice, changed: Invoice) -> Invoice:
    """The draft with figures that fit, written where it differs from what was there."""
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
