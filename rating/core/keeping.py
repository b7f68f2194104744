"""What a run hands to the ledger to be kept, and what it hears back."""

import msgspec

from rating.core.turn import Turn
from schemas.flush import Watermark
from schemas.invoice import Invoice, NewInvoice


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A turn, and what it asks for."""

    turn: Turn
    invoice: NewInvoice | None
    """None where there is nothing to ask for."""
    watermark: Watermark | None = None
    """The lowest of its lines: all of them hold the flushes up to here."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some bills."""

    taken: int
    """Turns that were taken; the others had been taken by somebody else, or their subscription had changed."""
    invoices: tuple[Invoice, ...]
