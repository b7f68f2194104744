"""What the routes of plans need from inside."""

from typing import Protocol

from schemas.command import Act, Done
from schemas.ids import AccountId
from schemas.listing import Page
from schemas.plan import PlanDefinition
from schemas.plan_catalog import KeptVersion, NewPlan, NewVersion, Plan, PlanChanges


class Plans(Protocol):
    """What is sold, version by version. Changes raise NotFound where there is no such plan."""

    async def create(self, act: Act, new: NewPlan) -> Done[Plan]:
        """Raises Conflict where the code is taken, Invalid where a meter does not fit."""
        ...

    async def update(self, act: Act, code: str, changes: PlanChanges) -> Done[Plan]: ...

    async def archive(self, act: Act, code: str) -> Done[Plan]:
        """No new subscriptions; those there are go on. Twice changes nothing."""
        ...

    async def add_version(self, act: Act, code: str, new: NewVersion) -> Done[KeptVersion]:
        """Raises Conflict where there is a draft or the plan is archived, or Invalid as `create` does."""
        ...

    async def replace(self, act: Act, code: str, version: int, definition: PlanDefinition) -> Done[KeptVersion]:
        """Raises Conflict where the version is published, or Invalid as `create` does."""
        ...

    async def publish(self, act: Act, code: str, version: int) -> Done[KeptVersion]:
        """Raises as `replace` does."""
        ...

    async def get(self, account: AccountId, code: str) -> Plan: ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def version(self, account: AccountId, code: str, version: int) -> KeptVersion: ...

    async def versions(self, account: AccountId, code: str, limit: int, cursor: str | None) -> Page: ...
