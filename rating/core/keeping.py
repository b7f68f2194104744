"""What a run hands to the ledger to be kept, and what it hears back."""

import msgspec

from rating.core.cycle_step import CycleStep
from rating.core.rated_period import LateUsageWindow, RatedPeriod
from schemas.flush import Watermark
from schemas.invoice import Invoice, NewInvoice


class PlannedBill(msgspec.Struct, frozen=True, kw_only=True):
    """A turn, and what it asks for."""

    step: CycleStep
    invoice: NewInvoice | None
    """None where there is nothing to ask for."""
    held: NewInvoice | None = None
    """Late usage by itself, for somebody to decide on."""
    dropped: NewInvoice | None = None
    """Late usage by itself, which is told and not billed."""
    rated: tuple[RatedPeriod, ...] = ()
    """The usage of the period that ended."""
    rerated: tuple[RatedPeriod, ...] = ()
    """Earlier periods whose usage is another now than when it was rated last, with all of it."""
    watermark: Watermark | None = None
    """The lowest of its lines: all of them hold the flushes up to here."""

    def step_to_apply(self, late_usage_window: LateUsageWindow) -> CycleStep:
        """Its own; a subscription that has ended has another one when nothing of it can come late any more."""
        after = self.step.after
        if after.due_at is not None:
            return self.step
        ends = (period.service.end for period in (*self.step.open_periods, *self.rated))
        until = max(map(late_usage_window.open_until, ends), default=0)
        due_at = until if until > late_usage_window.as_of else None
        return msgspec.structs.replace(self.step, after=msgspec.structs.replace(after, due_at=due_at))


class RecordedBills(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some bills."""

    applied: tuple[PlannedBill, ...]
    """The other turns had been taken by somebody else, or their subscription had changed."""
    invoices: tuple[Invoice, ...]
