"""A billing run's steps on the ledger, without its invoices."""

import sqlalchemy as sa

from rating.core.cycle_step import CycleStep
from rating.ledger.billing import apply_steps, due_subscriptions, next_steps
from rating.ledger.engine import transaction
from rating.ledger.unit_of_work import UnitOfWork
from schemas.command import Command
from schemas.ids import AccountId, new_cuid
from schemas.timestamps import MILLISECOND
from tests.rating.api.billing_api import BillingApi


class LedgerRuns:
    """Reads and takes due steps of subscriptions, as a run does."""

    def __init__(self, engine: sa.Engine, billing_api: BillingApi) -> None:
        self.engine = engine
        self.billing_api = billing_api

    def look(self, account: AccountId | None = None, after: str | None = None, limit: int = 100) -> list[CycleStep]:
        with transaction(self.engine) as connection:
            due = due_subscriptions(connection, account, self.billing_api.clock.now, after, limit)
            return next_steps(connection, due)

    def take(self, steps: list[CycleStep]) -> list[CycleStep]:
        command = Command(account=self.billing_api.key.account, actor="run", request_id="r")
        now = self.billing_api.clock.now
        with transaction(self.engine, write=True) as connection:
            return apply_steps(UnitOfWork(connection, command, now, lambda: new_cuid(now // MILLISECOND)), steps)
