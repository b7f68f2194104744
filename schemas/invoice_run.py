"""Invoice runs: what one was asked, how far it is, and what it did."""

from enum import StrEnum

import msgspec

from schemas.ids import AccountId
from schemas.invoice import Invoice


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run as far as it is."""

    run_id: str
    as_of: int
    is_dry: bool
    turns: int
    """Periods opened, renewed or ended."""
    passed_by: int
    """Turns that another run took, or whose subscription changed meanwhile."""
    invoices: int
    finalized: int
    below_zero: int
    """Invoices that come to less than nothing: once final, they leave their rest on the customer's balance."""
    held: int = 0
    """Drafts of late usage alone, for somebody to decide on."""
    totals: dict[str, int]
    """Currency → minor units, tax included; of a dry run without tax."""
    dropped: dict[str, int] = {}
    """Late usage that is not billed, as the account wants it: currency → minor units that it would have come to."""
    waiting: tuple[str, ...]
    """Subscriptions that could not be billed yet, each with why."""


class RunState(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It ended before its end. What it did is done; another run does the rest."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a run."""

    account: AccountId
    as_of: int
    is_dry: bool = False


class InvoiceRunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run of one account as kept."""

    id: str
    account: AccountId
    state: RunState
    due: int
    """How many subscriptions were due when it began."""
    summary: RunSummary
    error: str | None = None
    created_at: int
    updated_at: int


class UpcomingInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscription will be billed next, as things are."""

    at: int
    """When that is due."""
    invoice: Invoice
    """Kept nowhere: it has no id yet."""
