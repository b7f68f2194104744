"""What signup links need from inside."""

from typing import Protocol

from schemas.command import Command
from schemas.signup import CreatedSignupLink, NewSignupLink, SignupLink, SignupOffer


class SignupLinks(Protocol):
    """Plans offered to customers, each under a token of its own."""

    async def create(self, command: Command, new: NewSignupLink) -> CreatedSignupLink:
        """Raises NotFound, or Conflict where the plan cannot be subscribed to, or where it is repeated."""
        ...

    async def offer(self, token: str) -> SignupOffer:
        """Raises NotFound, or Conflict where it is used or has expired."""
        ...

    async def accept(self, token: str, request_id: str) -> SignupLink:
        """Raises as `offer` does, or Conflict where the state of things forbids it by now."""
        ...
