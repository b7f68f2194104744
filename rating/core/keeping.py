"""What a run hands to the ledger to be kept, and what it hears back."""

import msgspec

from rating.core.cycle_step import Turn
from rating.core.rated_period import Acceptance, RatedPeriod
from schemas.flush import Watermark
from schemas.invoice import Invoice, NewInvoice


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A turn, and what it asks for."""

    turn: Turn
    invoice: NewInvoice | None
    """None where there is nothing to ask for."""
    held: NewInvoice | None = None
    """Late usage by itself, for somebody to decide on."""
    dropped: NewInvoice | None = None
    """Late usage by itself, which is told and not billed."""
    rated: tuple[RatedPeriod, ...] = ()
    """The usage of the period that ended."""
    moved: tuple[RatedPeriod, ...] = ()
    """Earlier periods whose usage is another now than when it was rated last, with all of it."""
    watermark: Watermark | None = None
    """The lowest of its lines: all of them hold the flushes up to here."""

    def turn_to_take(self, acceptance: Acceptance) -> Turn:
        """Its own; a subscription that has ended has another one when nothing of it can come late any more."""
        after = self.turn.after
        if after.due_at is not None:
            return self.turn
        ends = (period.service.end for period in (*self.turn.open_periods, *self.rated))
        until = max(map(acceptance.open_until, ends), default=0)
        due_at = until if until > acceptance.as_of else None
        return msgspec.structs.replace(self.turn, after=msgspec.structs.replace(after, due_at=due_at))


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some bills."""

    taken: tuple[Bill, ...]
    """The other turns had been taken by somebody else, or their subscription had changed."""
    invoices: tuple[Invoice, ...]
