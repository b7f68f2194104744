"""Finalizing: a draft gets its number and its due date, and is immutable from then on."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace

from rating.core.balance import movements
from rating.core.invoice_lifecycle import InvoiceTransition, next_status
from rating.core.local_time import days_later
from rating.ledger.balances import get_currency_balances, record_movements
from rating.ledger.billing_settings import get_settings
from rating.ledger.customers import get_customers
from rating.ledger.invoice_rows import get_invoices, invoice_values, without_lines
from rating.ledger.invoice_tables import invoices
from rating.ledger.numbering import lock_sequence
from rating.ledger.unit_of_work import AuditedChange, UnitOfWork
from schemas.billing_settings import BillingSettings
from schemas.customer import Customer
from schemas.errors import Conflict
from schemas.invoice import Invoice

_WRITTEN = (
    *("status", "number", "public_token", "days_until_due", "due_at", "paid"),
    *("finalized_at", "paid_at", "updated_at"),
)
_TIMESTAMP_LENGTH = 9
"""The length of an id's timestamp; the sixteen characters after it cannot be guessed."""


def finalize_invoice(work: UnitOfWork, invoice_id: str) -> Invoice:
    """Finalizes the draft with the figures it shows, and pays it from its customer's balance.

    An invoice without a due amount is paid at once. A total below zero is added to the balance. Raises NotFound, or
    Conflict if the invoice is not a draft or has no lines.
    """
    return finalize_invoices(work, [invoice_id])[0]


def finalize_invoices(work: UnitOfWork, invoice_ids: Iterable[str]) -> list[Invoice]:
    """Finalizes many drafts, each once, numbered and paid from balances in this order; all or none."""
    # Concurrent finalizations of one account wait here until the one before has committed its balance entries: the
    # balances read from here on are complete, and no other transaction uses them.
    numbers = lock_sequence(work, "invoice")
    drafts = get_invoices(work.connection, work.account, list(dict.fromkeys(invoice_ids)), lock=True)
    for draft in drafts:
        _check(draft)
    settings = get_settings(work.connection, work.account)
    customers = get_customers(work.connection, work.account, (draft.customer_id for draft in drafts))
    moved = movements(drafts, get_currency_balances(work.connection, work.account, customers))
    ready = [_with_due_date(work.now, draft, customers[draft.customer_id], settings) for draft in drafts]
    final = [
        _finalized(work, draft, numbers.next(settings.invoice_prefix), used=max(0, -amount))
        for draft, amount in zip(ready, moved, strict=True)
    ]
    numbers.save(work)
    _write(work, final)
    record_movements(work, final, moved)
    pairs = zip(drafts, final, strict=True)
    changes = [AuditedChange(draft.id, without_lines(draft), without_lines(one)) for draft, one in pairs]
    work.audit_all("invoice.finalize", changes)
    return final


def _check(draft: Invoice) -> None:
    next_status(draft.status, InvoiceTransition.FINALIZE, draft.id)
    if not draft.lines:
        raise Conflict(
            f"invoice {draft.id} has no lines: add what is to be paid, or delete it", code="INVOICE_HAS_NO_LINES"
        )


def _finalized(work: UnitOfWork, draft: Invoice, number: str, *, used: int) -> Invoice:
    status = next_status(draft.status, InvoiceTransition.FINALIZE, draft.id)
    is_settled = draft.total <= used
    return replace(
        draft,
        number=number,
        public_token=work.new_id()[_TIMESTAMP_LENGTH:] + work.new_id()[_TIMESTAMP_LENGTH:],
        status=next_status(status, InvoiceTransition.PAY, draft.id) if is_settled else status,
        paid=used,
        finalized_at=work.now,
        paid_at=work.now if is_settled else None,
        updated_at=max(work.now, draft.updated_at),
    )


def _with_due_date(now: int, draft: Invoice, customer: Customer, settings: BillingSettings) -> Invoice:
    """The draft with a due date: by its own terms, the customer's or the account's, in days of the customer's zone."""
    if draft.due_at is not None:
        return draft
    terms = (draft.days_until_due, customer.net_terms, settings.net_terms)
    days = next(days for days in terms if days is not None)
    due_at = days_later(now, days, customer.timezone or settings.timezone)
    return replace(draft, days_until_due=days, due_at=due_at)


def _write(work: UnitOfWork, final: Sequence[Invoice]) -> None:
    if final:
        columns: dict[str, Any] = {name: sa.bindparam(name) for name in _WRITTEN}
        changed = sa.update(invoices).where(invoices.c.id == sa.bindparam("this")).values(columns)
        rows = ((invoice.id, invoice_values(invoice)) for invoice in final)
        work.connection.execute(
            changed, [{"this": this, **{name: row[name] for name in _WRITTEN}} for this, row in rows]
        )
