"""The lifecycle of an invoice: which transition leads from which status to which, in one table."""

from enum import StrEnum

from schemas.errors import Conflict
from schemas.invoice import InvoiceStatus


class InvoiceTransition(StrEnum):
    """What can be done to an invoice; the value completes "it cannot be …"."""

    CHANGE = "changed"
    DELETE = "deleted"
    FINALIZE = "finalized"
    PAY_PART = "paid in part"
    PAY = "paid"
    CREDIT = "credited"
    VOID = "voided"
    VOID_PERIOD = "voided as a draft"
    """For a draft that bills a subscription: its period stays billed, which deleting the draft would undo."""
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
"""A transition that is not listed is refused."""

_INSTEAD = {
    _DRAFT: "a draft is changed, deleted or finalized; one of a subscription's period is voided instead of deleted",
    _OPEN: "an open invoice is paid, credited, voided or marked uncollectible",
    _UNCOLLECTIBLE: "an uncollectible invoice can still be paid, credited or voided",
    _PAID: "a paid invoice is corrected by a credit note",
    _VOID: "a void invoice stays as it is; make a new one",
}


def next_status(status: InvoiceStatus, transition: InvoiceTransition, invoice_id: str) -> InvoiceStatus:
    """The status that the transition leads to. Raises Conflict if it is not allowed, naming those that are."""
    try:
        return INVOICE_TRANSITIONS[status, transition]
    except KeyError:
        raise Conflict(
            f"invoice {invoice_id} is {status.value} and cannot be {transition.value}: {_INSTEAD[status]}",
            code=f"INVOICE_IS_{status.name}",
        ) from None
