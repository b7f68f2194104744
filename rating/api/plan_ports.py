"""What the routes of plans need from inside."""

from typing import Protocol

from schemas.command import Applied, Command
from schemas.ids import AccountId
from schemas.listing import Page
from schemas.plan import PlanDefinition
from schemas.plan_catalog import NewPlan, NewVersion, Plan, PlanChanges, StoredPlanVersion


class Plans(Protocol):
    """What is sold, version by version. Changes raise NotFound where there is no such plan."""

    async def create(self, command: Command, new: NewPlan) -> Applied[Plan]:
        """Raises Conflict where the code is taken, Invalid where a meter does not fit."""
        ...

    async def update(self, command: Command, code: str, changes: PlanChanges) -> Applied[Plan]: ...

    async def archive(self, command: Command, code: str) -> Applied[Plan]:
        """No new subscriptions; those there are go on. Twice changes nothing."""
        ...

    async def add_version(self, command: Command, code: str, new: NewVersion) -> Applied[StoredPlanVersion]:
        """Raises Conflict where there is a draft or the plan is archived, or Invalid as `create` does."""
        ...

    async def replace(
        self, command: Command, code: str, version: int, definition: PlanDefinition
    ) -> Applied[StoredPlanVersion]:
        """Raises Conflict where the version is published, or Invalid as `create` does."""
        ...

    async def publish(self, command: Command, code: str, version: int) -> Applied[StoredPlanVersion]:
        """Raises as `replace` does."""
        ...

    async def get(self, account: AccountId, code: str) -> Plan: ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def version(self, account: AccountId, code: str, version: int) -> StoredPlanVersion: ...

    async def versions(self, account: AccountId, code: str, limit: int, cursor: str | None) -> Page: ...
