"""What billing needs from whoever counts. Adapters fit structurally."""

from collections.abc import Sequence
from typing import Protocol

from rating.core.cycle_step import CycleStep
from rating.core.late_usage import LateUsageWindow
from rating.core.planned_bill import PlannedBill, RecordedBills
from schemas.command import Applied, Command
from schemas.flush import Watermark
from schemas.ids import AccountId
from schemas.invoice import Invoice, NewInvoice
from schemas.invoice_run import InvoiceRunRecord
from schemas.listing import Page
from schemas.meter import Meter
from schemas.usage import BackfillStatus, UsageQuery, UsageResult


class BillingUsageReader(Protocol):
    """Usage, exactly at a watermark."""

    async def usage(self, query: UsageQuery) -> UsageResult: ...

    async def backfill(self, meter: Meter) -> BackfillStatus:
        """How far the meter's count of past events is."""
        ...


class Recount(Protocol):
    """The same answers from the raw events, by a path of its own."""

    async def usage_at(self, query: UsageQuery, watermark: Watermark) -> UsageResult:
        """Of these flushes and earlier ones, and no others."""
        ...


class MeterReader(Protocol):
    """What is counted."""

    async def get(self, account: AccountId, code: str) -> Meter:
        """Raises NotFound."""
        ...


class BillingLedger(Protocol):
    """Where subscriptions and invoices are kept."""

    async def count_due(self, account: AccountId | None, as_of: int) -> int: ...

    async def due(self, account: AccountId | None, as_of: int, after: str | None, limit: int) -> Sequence[CycleStep]:
        """The next turns of subscriptions that are due, by subscription, `after` the last one seen."""
        ...

    async def record(
        self, run_id: str, bills: Sequence[PlannedBill], late_usage_window: LateUsageWindow
    ) -> RecordedBills:
        """Take these turns of one account, and keep what they are billed: all of it or nothing."""
        ...

    async def next_step(self, account: AccountId, subscription_id: str) -> CycleStep:
        """Due or not. Raises NotFound, or Conflict where nothing more will be billed."""
        ...

    async def preview(self, account: AccountId, new: NewInvoice) -> Invoice:
        """With its figures; it is kept nowhere."""
        ...


class InvoiceRunStore(Protocol):
    """How far runs are."""

    async def find_replay(self, command: Command) -> InvoiceRunRecord | None:
        """What the same request began before; None if it is the first one. Raises Conflict for another one."""
        ...

    async def begin(self, command: Command, record: InvoiceRunRecord) -> Applied[InvoiceRunRecord]:
        """A new one. Of requests at once under one key, the first is the one that counts."""
        ...

    async def put(self, record: InvoiceRunRecord) -> None:
        """As it is now."""
        ...

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...


class InvoiceReader(Protocol):
    """Invoices as kept."""

    async def get(self, account: AccountId, invoice_id: str) -> Invoice:
        """Raises NotFound."""
        ...
