"""The life of an invoice: which step leads from which status to which, in one table."""

from enum import StrEnum

from schemas.errors import Conflict
from schemas.invoice import InvoiceStatus


class Step(StrEnum):
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
    GIVE_UP = "marked uncollectible"


_DRAFT, _OPEN, _PAID, _VOID, _UNCOLLECTIBLE = InvoiceStatus

TABLE = {
    (_DRAFT, Step.CHANGE): _DRAFT,
    (_DRAFT, Step.DELETE): _DRAFT,
    (_DRAFT, Step.FINALIZE): _OPEN,
    (_DRAFT, Step.VOID_PERIOD): _VOID,
    (_OPEN, Step.PAY_PART): _OPEN,
    (_OPEN, Step.PAY): _PAID,
    (_OPEN, Step.CREDIT): _OPEN,
    (_OPEN, Step.VOID): _VOID,
    (_OPEN, Step.GIVE_UP): _UNCOLLECTIBLE,
    (_UNCOLLECTIBLE, Step.PAY_PART): _UNCOLLECTIBLE,
    (_UNCOLLECTIBLE, Step.PAY): _PAID,
    (_UNCOLLECTIBLE, Step.CREDIT): _UNCOLLECTIBLE,
    (_UNCOLLECTIBLE, Step.VOID): _VOID,
    (_PAID, Step.CREDIT): _PAID,
}
"""A step that is not here is refused."""

_INSTEAD = {
    _DRAFT: "a draft is changed, deleted or finalized; one of a subscription's period is voided instead of deleted",
    _OPEN: "an open invoice is paid, credited, voided or marked uncollectible",
    _UNCOLLECTIBLE: "an uncollectible invoice can still be paid, credited or voided",
    _PAID: "a paid invoice is corrected by a credit note",
    _VOID: "a void invoice stays as it is; make a new one",
}


def after(status: InvoiceStatus, step: Step, invoice_id: str) -> InvoiceStatus:
    """The status that the step leads to. Raises Conflict where it may not be taken, naming the status."""
    try:
        return TABLE[status, step]
    except KeyError:
        raise Conflict(
            f"invoice {invoice_id} is {status.value} and cannot be {step.value}: {_INSTEAD[status]}",
            code=f"INVOICE_IS_{status.name}",
        ) from None
