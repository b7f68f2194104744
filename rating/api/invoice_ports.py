"""What the API of invoices needs from inside. Changes of another account's invoice raise NotFound, as of none."""

from collections.abc import Sequence
from typing import Protocol

from schemas.command import Act, Done
from schemas.credit_note import Credited, CreditNote, NewCreditNote
from schemas.ids import AccountId
from schemas.invoice import Invoice, InvoiceChanges, InvoiceQuery, LineChanges, NewInvoice, NewLine
from schemas.listing import Page
from schemas.payment import NewPayment, Paid, Payment


class Invoices(Protocol):
    """What customers owe. Changes answer with the invoice after them; Conflict tells that its status forbids it."""

    async def create(self, act: Act, new: NewInvoice) -> Done[Invoice]:
        """Raises NotFound for the customer, Invalid for what is given."""
        ...

    async def update(self, act: Act, invoice_id: str, changes: InvoiceChanges) -> Done[Invoice]: ...

    async def delete(self, act: Act, invoice_id: str) -> Done[Invoice]:
        """A draft, for good."""
        ...

    async def add_line(self, act: Act, invoice_id: str, new: NewLine) -> Done[Invoice]: ...

    async def update_line(self, act: Act, invoice_id: str, line_id: str, changes: LineChanges) -> Done[Invoice]: ...

    async def delete_line(self, act: Act, invoice_id: str, line_id: str) -> Done[Invoice]: ...

    async def finalize(self, act: Act, invoice_id: str) -> Done[Invoice]:
        """The draft gets its number and is final."""
        ...

    async def void(self, act: Act, invoice_id: str) -> Done[Invoice]: ...

    async def give_up(self, act: Act, invoice_id: str) -> Done[Invoice]:
        """It is uncollectible."""
        ...

    async def pay(self, act: Act, invoice_id: str, new: NewPayment) -> Done[Paid]:
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

    async def create(self, act: Act, invoice_id: str, new: NewCreditNote) -> Done[Credited]:
        """Raises NotFound, Invalid, or Conflict where less is left than is asked for, or the status forbids it."""
        ...

    async def of_invoice(self, account: AccountId, invoice_id: str) -> Sequence[CreditNote]:
        """In their order. Raises NotFound for the invoice."""
        ...
