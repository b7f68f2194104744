"""What billing needs from whoever counts. Adapters fit structurally."""

from collections.abc import Sequence
from typing import Protocol

from rating.core.cycle_step import Turn
from rating.core.keeping import Bill, Kept
from rating.core.rated_period import Acceptance
from schemas.command import Act, Done
from schemas.flush import Watermark
from schemas.ids import AccountId
from schemas.invoice import Invoice, NewInvoice
from schemas.invoice_run import InvoiceRunRecord
from schemas.listing import Page
from schemas.meter import Meter
from schemas.usage import Backfill, UsageAnswer, UsageQuery


class UsageReader(Protocol):
    """Usage, exactly at a watermark."""

    async def usage(self, query: UsageQuery) -> UsageAnswer: ...

    async def backfill(self, meter: Meter) -> Backfill:
        """How far the meter's count of past events is."""
        ...


class Recount(Protocol):
    """The same answers from the raw events, by a path of its own."""

    async def usage_at(self, query: UsageQuery, watermark: Watermark) -> UsageAnswer:
        """Of these flushes and earlier ones, and no others."""
        ...


class Meters(Protocol):
    """What is counted."""

    async def get(self, account: AccountId, code: str) -> Meter:
        """Raises NotFound."""
        ...


class BillingLedger(Protocol):
    """Where subscriptions and invoices are kept."""

    async def count_due(self, account: AccountId | None, as_of: int) -> int: ...

    async def due(self, account: AccountId | None, as_of: int, after: str | None, limit: int) -> Sequence[Turn]:
        """The next turns of subscriptions that are due, by subscription, `after` the last one seen."""
        ...

    async def keep(self, run_id: str, bills: Sequence[Bill], acceptance: Acceptance) -> Kept:
        """Take these turns of one account, and keep what they are billed: all of it or nothing."""
        ...

    async def next_turn(self, account: AccountId, subscription_id: str) -> Turn:
        """Due or not. Raises NotFound, or Conflict where nothing more will be billed."""
        ...

    async def preview(self, account: AccountId, new: NewInvoice) -> Invoice:
        """With its figures; it is kept nowhere."""
        ...


class InvoiceRuns(Protocol):
    """How far runs are."""

    async def begun(self, act: Act) -> InvoiceRunRecord | None:
        """What the same request began before; None if it is the first one. Raises Conflict for another one."""
        ...

    async def begin(self, act: Act, record: InvoiceRunRecord) -> Done[InvoiceRunRecord]:
        """A new one. Of requests at once under one key, the first is the one that counts."""
        ...

    async def put(self, record: InvoiceRunRecord) -> None:
        """As it is now."""
        ...

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...


class Invoices(Protocol):
    """Invoices as kept."""

    async def get(self, account: AccountId, invoice_id: str) -> Invoice:
        """Raises NotFound."""
        ...
