"""What the routes of credit need from inside."""

from collections.abc import Sequence
from typing import Protocol

from schemas.command import Applied, Command
from schemas.credit import CreditGrant, NewCreditGrant
from schemas.customer import Balance
from schemas.ids import AccountId


class Credits(Protocol):
    """What customers may use up before they pay."""

    async def grant(self, command: Command, subscription_id: str, new: NewCreditGrant) -> Applied[CreditGrant]:
        """Raises NotFound, or Invalid where it would have expired."""
        ...

    async def balances(self, account: AccountId, customer_id: str) -> Sequence[Balance]:
        """Raises NotFound."""
        ...
