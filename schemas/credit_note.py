"""Credit notes: reductions of an invoice that is final."""

import msgspec

from schemas.ids import AccountId
from schemas.invoice import Invoice


class CreditedLine(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one line to credit; None credits the rest of the line."""

    line_id: str
    amount: int | None = None


class NewCreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """A request to credit an amount before tax, or lines; the whole rest of the invoice if neither is given."""

    reason: str | None = None
    amount: int | None = None
    lines: tuple[CreditedLine, ...] = ()
    metadata: dict[str, str] = {}


class CreditNoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """The credited part of one invoice line."""

    line_id: str
    amount: int
    tax: int


class CreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """A stored credit note, which never changes. `amount + tax = total`."""

    id: str
    account: AccountId
    invoice_id: str
    number: str
    reason: str | None
    amount: int
    tax: int
    total: int
    lines: tuple[CreditNoteLine, ...]
    metadata: dict[str, str]
    created_at: int


class CreditNoteResult(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note, and the invoice after it was applied."""

    invoice: Invoice
    credit_note: CreditNote
