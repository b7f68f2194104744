"""The life of an invoice: which step leads from which status to which, in one table."""

from enum import StrEnum

from schemas.errors import Conflict
from schemas.invoice import InvoiceStatus


class InvoiceTransition(StrEnum):
    """What may be done to an invoice, in the words in which a refusal tells it."""

    CHANGE = "changed"
    DELETE = "deleted"
    FINALIZE = "finalized"
    PAY_PART = "paid in part"
    PAY = "paid"
    CREDIT = "credited"
    VOID = "voided"
    VOID_PERIOD = "voided as a draft"
    """Of a draft that bills a subscription: its period stays billed, which a deleted one's would not."""
    MARK_UNCOLLECTIBLE = "marked uncollectible"


_DRAFT, _OPEN, _PAID, _VOID, _UNCOLLECTIBLE = InvoiceStatus

INVOICE_TRANSITIONS = {
    (_DRAFT, InvoiceTransition.CHANGE): _DRAFT,
    (_DRAFT, InvoiceTransition.DELETE): _DRAFT,
    (_DRAFT, InvoiceTransition.FINALIZE): _OPEN,
    (_DRAFT, InvoiceTransition.VOID_PERIOD): _VOID,
    (_OPEN, InvoiceTransition.PAY_PART): _OPEN,
    (_OPEN, InvoiceTransition.PAY): _PAID,
    (_OPEN, InvoiceTransition.CREDIT): _OPEN,
    (_OPEN, InvoiceTransition.VOID): _VOID,
    (_OPEN, InvoiceTransition.MARK_UNCOLLECTIBLE): _UNCOLLECTIBLE,
    (_UNCOLLECTIBLE, InvoiceTransition.PAY_PART): _UNCOLLECTIBLE,
    (_UNCOLLECTIBLE, InvoiceTransition.PAY): _PAID,
    (_UNCOLLECTIBLE, InvoiceTransition.CREDIT): _UNCOLLECTIBLE,
    (_UNCOLLECTIBLE, InvoiceTransition.VOID): _VOID,
    (_PAID, InvoiceTransition.CREDIT): _PAID,
}
"""A step that is not here is refused."""

_INSTEAD = {
    _DRAFT: "a draft is changed, deleted or finalized; one of a subscription's period is voided instead of deleted",
    _OPEN: "an open invoice is paid, credited, voided or marked uncollectible",
    _UNCOLLECTIBLE: "an uncollectible invoice can still be paid, credited or voided",
    _PAID: "a paid invoice is corrected by a credit note",
    _VOID: "a void invoice stays as it is; make a new one",
}


def after(status: InvoiceStatus, step: InvoiceTransition, invoice_id: str) -> InvoiceStatus:
    """The status that the step leads to. Raises Conflict where it may not be taken, naming the status."""
    try:
        return INVOICE_TRANSITIONS[status, step]
    except KeyError:
        raise Conflict(
            f"invoice {invoice_id} is {status.value} and cannot be {step.value}: {_INSTEAD[status]}",
            code=f"INVOICE_IS_{status.name}",
        ) from None
