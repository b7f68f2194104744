"""The running summary of an invoice run."""

from collections import Counter
from collections.abc import Sequence

from rating.core.cycle_step import CycleStep
from rating.core.planned_bill import PlannedBill, RecordedBills
from schemas.invoice import InvoiceStatus, NewInvoice
from schemas.invoice_run import RunSummary

WAITING_NAMED = 100
"""The most waiting subscriptions that a summary names."""


class RunCounter:
    """Counts what one run has done so far."""

    def __init__(self, run_id: str, as_of: int, *, is_dry: bool) -> None:
        self._run_id = run_id
        self._as_of = as_of
        self._is_dry = is_dry
        self.steps = 0
        self._passed_by = 0
        self._invoices = 0
        self._finalized = 0
        self._below_zero = 0
        self._held = 0
        self._totals: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._waiting: dict[str, str] = {}

    def recorded(self, bills: Sequence[PlannedBill], recorded: RecordedBills) -> None:
        """Adds bills that a run handed to the ledger, of which it recorded some."""
        for bill in bills:
            self._waiting.pop(bill.step.before.id, None)
        self._add(recorded.applied)
        self._passed_by += len(bills) - len(recorded.applied)
        self._invoices += len(recorded.invoices)
        self._finalized += sum(invoice.status is not InvoiceStatus.DRAFT for invoice in recorded.invoices)
        self._below_zero += sum(invoice.total < 0 for invoice in recorded.invoices)
        for invoice in recorded.invoices:
            self._totals[invoice.currency] += invoice.total

    def planned(self, bills: Sequence[PlannedBill]) -> None:
        """Adds bills of a dry run."""
        self._add(bills)
        for bill in bills:
            for invoice in (bill.invoice, bill.held):
                if invoice is not None:
                    total = _total(invoice)
                    self._invoices += 1
                    self._below_zero += total < 0
                    self._totals[bill.step.plan.currency] += total

    def add_waiting(self, step: CycleStep, why: str) -> None:
        """Notes a subscription that cannot be billed yet."""
        self._waiting[step.before.id] = why

    def _add(self, bills: Sequence[PlannedBill]) -> None:
        self.steps += len(bills)
        for bill in bills:
            self._held += bill.held is not None
            if bill.dropped is not None:
                self._dropped[bill.step.plan.currency] += _total(bill.dropped)

    def summary(self) -> RunSummary:
        return RunSummary(
            run_id=self._run_id,
            as_of=self._as_of,
            is_dry=self._is_dry,
            turns=self.steps,
            passed_by=self._passed_by,
            invoices=self._invoices,
            finalized=self._finalized,
            below_zero=self._below_zero,
            held=self._held,
            totals=dict(sorted(self._totals.items())),
            dropped=dict(sorted(self._dropped.items())),
            waiting=tuple(f"{waiting}: {why}" for waiting, why in list(self._waiting.items())[:WAITING_NAMED]),
        )


def _total(invoice: NewInvoice) -> int:
    """The total without tax."""
    return sum(line.quantity * line.unit_amount for line in invoice.lines)
