"""Finalizing: a draft gets its number and its due date, and from then on stays as it is."""

from msgspec.structs import replace

from rating.core.invoice_lifecycle import Step, after
from rating.core.local_time import days_later
from rating.ledger.billing_settings import settings_of
from rating.ledger.customers import customer_of
from rating.ledger.invoice_rows import invoice_of, rewrite, without_lines
from rating.ledger.sequences import Sequence, hold, take
from rating.ledger.work import Work
from schemas.billing_settings import BillingSettings
from schemas.errors import Conflict
from schemas.invoice import Invoice

_TIME = 9
"""An id's first letters tell when it was made; the other sixteen cannot be guessed."""


def finalize_invoice(work: Work, invoice_id: str) -> Invoice:
    """Its figures are those that the draft shows. One of nothing is paid at once: no payment will ever come.

    Raises NotFound, or Conflict where it is no draft, has no lines, or would ask for less than nothing.
    """
    last = hold(work, Sequence.INVOICE)
    draft = invoice_of(work.connection, work.account, invoice_id, lock=True)
    status = after(draft.status, Step.FINALIZE, invoice_id)
    _check(draft)
    settings = settings_of(work.connection, work.account)
    final = replace(
        _with_due_date(work, draft, settings),
        number=take(work, Sequence.INVOICE, last, settings.invoice_prefix),
        public_token=work.new_id()[_TIME:] + work.new_id()[_TIME:],
        status=status if draft.total else after(status, Step.PAY, invoice_id),
        finalized_at=work.now,
        paid_at=None if draft.total else work.now,
        updated_at=max(work.now, draft.updated_at),
    )
    rewrite(work.connection, draft, final)
    work.note("invoice.finalize", invoice_id, without_lines(draft), without_lines(final))
    return final


def _check(draft: Invoice) -> None:
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


def _with_due_date(work: Work, draft: Invoice, settings: BillingSettings) -> Invoice:
    """Its own terms, else the customer's, else the account's; days are those of the customer's calendar."""
    if draft.due_at is not None:
        return draft
    customer = customer_of(work.connection, work.account, draft.customer_id)
    wanted = (draft.days_until_due, customer.net_terms, settings.net_terms)
    days = next(days for days in wanted if days is not None)
    due_at = days_later(work.now, days, customer.timezone or settings.timezone)
    return replace(draft, days_until_due=days, due_at=due_at)
