"""What billing needs from outside: usage, the recount of raw events, meters, and the ledger.

Adapters implement these protocols structurally.
"""

from collections.abc import Sequence
from typing import Protocol

from rating.core.cycle_step import CycleStep
from rating.core.late_usage import LateUsageWindow
from rating.core.planned_bill import PlannedBill, RecordedBills
from schemas.command import Applied, Command
from schemas.ids import AccountId
from schemas.invoice import Invoice, NewInvoice
from schemas.invoice_run import InvoiceRunRecord
from schemas.listing import Page
from schemas.meter import Meter
from schemas.usage import BackfillStatus, UsageQuery, UsageResult
from schemas.watermark import Watermark


class BillingUsageReader(Protocol):
    """Usage, exactly at the watermark that the answer carries."""

    async def usage(self, query: UsageQuery) -> UsageResult: ...

    async def backfill(self, meter: Meter) -> BackfillStatus:
        """The progress of counting events from before the meter existed."""
        ...


class Recount(Protocol):
    """Usage counted from the raw events, independently of the stored usage."""

    async def usage_at(self, query: UsageQuery, watermark: Watermark) -> UsageResult:
        """Counts the events of exactly the flushes up to the watermark."""
        ...


class MeterReader(Protocol):
    """The meters of an account."""

    async def get(self, account: AccountId, code: str) -> Meter:
        """Raises NotFound."""
        ...


class BillingLedger(Protocol):
    """The subscriptions that are due, and the recording of their bills."""

    async def count_due(self, account: AccountId | None, as_of: int) -> int:
        """The number of subscriptions with a step due at `as_of`; None is all accounts."""
        ...

    async def due(self, account: AccountId | None, as_of: int, after: str | None, limit: int) -> Sequence[CycleStep]:
        """The next steps of due subscriptions, ordered by subscription id, `after` the last id seen."""
        ...

    async def record(
        self, run_id: str, bills: Sequence[PlannedBill], late_usage_window: LateUsageWindow
    ) -> RecordedBills:
        """Applies these bills of one account and stores their invoices, all in one transaction."""
        ...

    async def next_step(self, account: AccountId, subscription_id: str) -> CycleStep:
        """The subscription's next step, due or not. Raises NotFound, or Conflict if nothing more will be billed."""
        ...

    async def preview(self, account: AccountId, new: NewInvoice) -> Invoice:
        """The invoice with its figures, without storing it."""
        ...


class InvoiceRunStore(Protocol):
    """The progress of invoice runs."""

    async def find_replay(self, command: Command) -> InvoiceRunRecord | None:
        """The run that the same request began before, if any. Raises Conflict for another request under its key."""
        ...

    async def begin(self, command: Command, record: InvoiceRunRecord) -> Applied[InvoiceRunRecord]:
        """Stores a new run. Of concurrent requests under one key, the first one counts."""
        ...

    async def put(self, record: InvoiceRunRecord) -> None:
        """Stores the run's progress."""
        ...

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page:
        """Newest first."""
        ...


class InvoiceReader(Protocol):
    """Stored invoices."""

    async def get(self, account: AccountId, invoice_id: str) -> Invoice:
        """Raises NotFound."""
        ...
