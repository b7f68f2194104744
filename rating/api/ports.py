"""What the billing API needs from inside. Changes are told who asks, and may have been done before."""

from collections.abc import Sequence
from typing import Protocol

from schemas.audit import AuditQuery
from schemas.command import Applied, Command
from schemas.customer import Customer, CustomerChanges, CustomerSearch, NewCustomer
from schemas.ids import AccountId
from schemas.listing import Page


class Customers(Protocol):
    """Who is billed. Changes answer with a Customer."""

    async def create(self, command: Command, new: NewCustomer) -> Applied[Customer]:
        """Raises Conflict where the external id is taken."""
        ...

    async def update(self, command: Command, customer_id: str, changes: CustomerChanges) -> Applied[Customer]:
        """Raises NotFound, or Conflict as `create` does."""
        ...

    async def delete(self, command: Command, customer_id: str) -> Applied[Customer]:
        """For good. Raises Conflict where anything was billed or subscribed to."""
        ...

    async def get(self, account: AccountId, customer_id: str) -> Customer:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def search(self, account: AccountId, wanted: CustomerSearch) -> Sequence[Customer]: ...


class AuditLog(Protocol):
    """Who changed what."""

    async def list(self, query: AuditQuery) -> Page: ...
