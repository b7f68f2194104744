"""What the API needs of invoice runs, and of looking ahead and back."""

from typing import Protocol

from schemas.command import Applied, Command
from schemas.ids import AccountId
from schemas.invoice_audit import InvoiceAudit
from schemas.invoice_run import InvoiceRunRecord, RunRequest, UpcomingInvoice
from schemas.listing import Page


class InvoiceRuns(Protocol):
    """Runs are begun here and go on by themselves."""

    async def begin(self, command: Command, order: RunRequest) -> Applied[InvoiceRunRecord]:
        """Raises Conflict where one of the account's is going on."""
        ...

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def upcoming(self, account: AccountId, subscription_id: str) -> UpcomingInvoice:
        """Raises NotFound, or Conflict where nothing more will be billed."""
        ...

    async def audit(self, account: AccountId, invoice_id: str) -> InvoiceAudit:
        """Raises NotFound."""
        ...
