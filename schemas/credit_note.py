"""Credit notes: what is taken back of an invoice that cannot change any more."""

import msgspec

from schemas.ids import AccountId
from schemas.invoice import Invoice


class CreditedLine(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one line; None is all that is left of it."""

    line_id: str
    amount: int | None = None


class NewCreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note to be made, of an amount before tax, or of lines; of everything that is left if of neither."""

    reason: str | None = None
    amount: int | None = None
    lines: tuple[CreditedLine, ...] = ()
    metadata: dict[str, str] = {}


class CreditNoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line's part of a credit note."""

    line_id: str
    amount: int
    tax: int


class CreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note as kept: it never changes. `amount + tax = total`."""

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
    """A credit note, and the invoice after it."""

    invoice: Invoice
    credit_note: CreditNote
