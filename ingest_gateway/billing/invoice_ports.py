"""What the API of invoices needs from inside. Changes of another account's invoice raise NotFound, as of none."""

from typing import Protocol

from schemas.act import Act, Done
from schemas.ids import AccountId
from schemas.invoice import Invoice, InvoiceChanges, InvoiceQuery, LineChanges, NewInvoice, NewLine
from schemas.listing import Page


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

    async def get(self, account: AccountId, invoice_id: str) -> Invoice:
        """Raises NotFound."""
        ...

    async def list(self, query: InvoiceQuery) -> Page: ...
