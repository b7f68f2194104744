"""What the API of invoices needs from inside. Changes of another account's invoice raise NotFound, as of none."""

from collections.abc import Sequence
from typing import Protocol

from schemas.command import Applied, Command
from schemas.credit_note import CreditNote, CreditNoteResult, NewCreditNote
from schemas.ids import AccountId
from schemas.invoice import Invoice, InvoiceChanges, InvoiceQuery, LineChanges, NewInvoice, NewLine
from schemas.listing import Page
from schemas.payment import NewPayment, Payment, PaymentResult


class Invoices(Protocol):
    """What customers owe. Changes answer with the invoice after them; Conflict tells that its status forbids it."""

    async def create(self, command: Command, new: NewInvoice) -> Applied[Invoice]:
        """Raises NotFound for the customer, Invalid for what is given."""
        ...

    async def update(self, command: Command, invoice_id: str, changes: InvoiceChanges) -> Applied[Invoice]: ...

    async def delete(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        """A draft, for good."""
        ...

    async def add_line(self, command: Command, invoice_id: str, new: NewLine) -> Applied[Invoice]: ...

    async def update_line(
        self, command: Command, invoice_id: str, line_id: str, changes: LineChanges
    ) -> Applied[Invoice]: ...

    async def delete_line(self, command: Command, invoice_id: str, line_id: str) -> Applied[Invoice]: ...

    async def finalize(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        """The draft gets its number and is final."""
        ...

    async def void(self, command: Command, invoice_id: str) -> Applied[Invoice]: ...

    async def mark_uncollectible(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        """It is uncollectible."""
        ...

    async def pay(self, command: Command, invoice_id: str, new: NewPayment) -> Applied[PaymentResult]:
        """Raises Conflict for more than is due, too."""
        ...

    async def payments(self, account: AccountId, invoice_id: str) -> Sequence[Payment]:
        """In their order. Raises NotFound for the invoice."""
        ...

    async def get(self, account: AccountId, invoice_id: str) -> Invoice:
        """Raises NotFound."""
        ...

    async def list(self, query: InvoiceQuery) -> Page: ...


class CreditNotes(Protocol):
    """What is taken back of final invoices."""

    async def create(self, command: Command, invoice_id: str, new: NewCreditNote) -> Applied[CreditNoteResult]:
        """Raises NotFound, Invalid, or Conflict where less is left than is asked for, or the status forbids it."""
        ...

    async def of_invoice(self, account: AccountId, invoice_id: str) -> Sequence[CreditNote]:
        """In their order. Raises NotFound for the invoice."""
        ...
