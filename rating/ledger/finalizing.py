"""Finalizing: a draft gets its number and its due date, and from then on stays as it is."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace

from rating.core.invoice_lifecycle import Step, after
from rating.core.local_time import days_later
from rating.ledger.billing_settings import settings_of
from rating.ledger.customers import customers_of
from rating.ledger.invoice_rows import invoice_values, invoices_of, without_lines
from rating.ledger.invoice_tables import invoices
from rating.ledger.sequences import Numbers, hold
from rating.ledger.work import Change, Work
from schemas.billing_settings import BillingSettings
from schemas.customer import Customer
from schemas.errors import Conflict
from schemas.invoice import Invoice

_WRITTEN = ("status", "number", "public_token", "days_until_due", "due_at", "finalized_at", "paid_at", "updated_at")
_TIME = 9
"""An id's first letters tell when it was made; the other sixteen cannot be guessed."""


def finalize_invoice(work: Work, invoice_id: str) -> Invoice:
    """Its figures are those that the draft shows. One of nothing is paid at once: no payment will ever come.

    Raises NotFound, or Conflict where it is no draft, has no lines, or would ask for less than nothing.
    """
    return finalize_invoices(work, [invoice_id])[0]


def finalize_invoices(work: Work, invoice_ids: Iterable[str]) -> list[Invoice]:
    """The same of many, each once, numbered in their order; all or none."""
    numbers = hold(work, "invoice")
    drafts = invoices_of(work.connection, work.account, list(dict.fromkeys(invoice_ids)), lock=True)
    for draft in drafts:
        _check(draft)
    settings = settings_of(work.connection, work.account)
    customers = customers_of(work.connection, work.account, (draft.customer_id for draft in drafts))
    final = [_finalized(work, draft, customers[draft.customer_id], settings, numbers) for draft in drafts]
    numbers.keep(work)
    _write(work, final)
    pairs = zip(drafts, final, strict=True)
    noted = [Change(draft.id, without_lines(draft), without_lines(one)) for draft, one in pairs]
    work.note_all("invoice.finalize", noted)
    return final


def _check(draft: Invoice) -> None:
    after(draft.status, Step.FINALIZE, draft.id)
    if not draft.lines:
        raise Conflict(
            f"invoice {draft.id} has no lines: add what is to be paid, or delete it", code="INVOICE_HAS_NO_LINES"
        )
    if draft.total < 0:
        raise Conflict(
            f"invoice {draft.id} comes to {draft.total} minor units, and an invoice never asks for less than nothing: "
            "take off a line, or leave what is owed to the customer for the next one",
            code="NEGATIVE_TOTAL",
        )


def _finalized(work: Work, draft: Invoice, customer: Customer, settings: BillingSettings, numbers: Numbers) -> Invoice:
    status = after(draft.status, Step.FINALIZE, draft.id)
    return replace(
        _with_due_date(work.now, draft, customer, settings),
        number=numbers.next(settings.invoice_prefix),
        public_token=work.new_id()[_TIME:] + work.new_id()[_TIME:],
        status=status if draft.total else after(status, Step.PAY, draft.id),
        finalized_at=work.now,
        paid_at=None if draft.total else work.now,
        updated_at=max(work.now, draft.updated_at),
    )


def _with_due_date(now: int, draft: Invoice, customer: Customer, settings: BillingSettings) -> Invoice:
    """Its own terms, else the customer's, else the account's; days are those of the customer's calendar."""
    if draft.due_at is not None:
        return draft
    wanted = (draft.days_until_due, customer.net_terms, settings.net_terms)
    days = next(days for days in wanted if days is not None)
    due_at = days_later(now, days, customer.timezone or settings.timezone)
    return replace(draft, days_until_due=days, due_at=due_at)


def _write(work: Work, final: Sequence[Invoice]) -> None:
    if final:
        columns: dict[str, Any] = {name: sa.bindparam(name) for name in _WRITTEN}
        changed = sa.update(invoices).where(invoices.c.id == sa.bindparam("this")).values(columns)
        rows = ((invoice.id, invoice_values(invoice)) for invoice in final)
        work.connection.execute(
            changed, [{"this": this, **{name: row[name] for name in _WRITTEN}} for this, row in rows]
        )
