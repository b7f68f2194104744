"""Invoice runs: the request, the stored run with its progress, and the upcoming invoice."""

from enum import StrEnum

import msgspec

from schemas.ids import AccountId
from schemas.invoice import Invoice


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a run."""

    run_id: str
    as_of: int
    is_dry: bool
    turns: int
    """Periods opened, renewed or ended."""
    passed_by: int
    """Cycle steps that another run took, or whose subscription changed meanwhile."""
    invoices: int
    finalized: int
    below_zero: int
    """Invoices with a total below zero: finalizing one adds the difference to the customer's balance."""
    held: int = 0
    """Drafts of late usage alone, which a person finalizes or voids."""
    totals: dict[str, int]
    """Currency → minor units, tax included; without tax in a dry run."""
    dropped: dict[str, int] = {}
    """Late usage that the account's settings drop: currency → the minor units it would have cost."""
    waiting: tuple[str, ...]
    """Subscriptions that could not be billed yet, each with the reason."""


class RunState(StrEnum):
    """The state of a run."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It stopped early. Its finished steps hold; another run does the rest."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to bill what is due."""

    account: AccountId
    as_of: int
    is_dry: bool = False


class InvoiceRunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stored run of one account."""

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
    """What a subscription will be billed next, by the usage counted so far."""

    at: int
    """When it will be billed."""
    invoice: Invoice
    """Not stored, and without an id."""
