"""Billing in the ledger: which turns are due, and keeping what they ask for, each once."""

from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa

from rating.core.cycle_step import CycleStep
from rating.core.keeping import PlannedBill, RecordedBills
from rating.core.rated_period import LateUsageWindow
from rating.ledger.billing_settings import get_settings
from rating.ledger.database import Database
from rating.ledger.drafting import draft_invoices, preview_invoice
from rating.ledger.finalization import finalize_invoices
from rating.ledger.invoice_tables import billed_periods
from rating.ledger.rated_periods import record_rated_periods
from rating.ledger.renewals import apply_steps, count_due, due_subscriptions, next_steps
from rating.ledger.subscription_rows import get_subscription
from rating.ledger.unit_of_work import AuditedChange, Transactions, UnitOfWork
from schemas.command import Command
from schemas.errors import Conflict
from schemas.ids import AccountId
from schemas.invoice import Invoice, NewInvoice

ACTOR = "invoice run"


class SqlBillingLedger:
    """The turns of all accounts."""

    def __init__(self, database: Database, transactions: Transactions, clock: Callable[[], int]) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock

    async def count_due(self, account: AccountId | None, as_of: int) -> int:
        """How many subscriptions have something to bill."""
        return await self._database.read(lambda connection: count_due(connection, account, as_of))

    async def due(self, account: AccountId | None, as_of: int, after: str | None, limit: int) -> Sequence[CycleStep]:
        """Their next turns, by subscription, `after` the last one seen."""

        def query(connection: sa.Connection) -> Sequence[CycleStep]:
            return next_steps(connection, due_subscriptions(connection, account, as_of, after, limit))

        return await self._database.read(query)

    async def next_step(self, account: AccountId, subscription_id: str) -> CycleStep:
        """Due or not. Raises NotFound, or Conflict where nothing more will be billed."""

        def query(connection: sa.Connection) -> CycleStep:
            subscription = get_subscription(connection, account, subscription_id)
            if subscription.due_at is None:
                raise Conflict(
                    f"subscription {subscription_id} is {subscription.status.value}: nothing of it will be billed",
                    code="NOTHING_TO_BILL",
                )
            return next_steps(connection, [subscription])[0]

        return await self._database.read(query)

    async def preview(self, account: AccountId, new: NewInvoice) -> Invoice:
        """With its figures; it is kept nowhere."""
        command = Command(account=account, actor=ACTOR, request_id="")

        def query(connection: sa.Connection) -> Invoice:
            return preview_invoice(UnitOfWork(connection, command, self._clock(), lambda: ""), new)

        return await self._database.read(query)

    async def record(
        self, run_id: str, bills: Sequence[PlannedBill], late_usage_window: LateUsageWindow
    ) -> RecordedBills:
        """Take these turns of one account, and keep what they are billed: all of it or nothing."""
        command = Command(account=bills[0].step.before.account, actor=ACTOR, request_id=run_id)
        done = await self._transactions.change(
            command, RecordedBills, lambda work: record_bills(work, bills, late_usage_window)
        )
        return done.answer


def record_bills(work: UnitOfWork, bills: Sequence[PlannedBill], late_usage_window: LateUsageWindow) -> RecordedBills:
    """The same within a transaction."""
    rolled = {step.before.id for step in apply_steps(work, [bill.step_to_apply(late_usage_window) for bill in bills])}
    applied = tuple(bill for bill in bills if bill.step.before.id in rolled)
    asked = [bill.invoice for bill in applied if bill.invoice is not None]
    held = [bill.held for bill in applied if bill.held is not None]
    made = draft_invoices(work, asked + held)
    drafts = iter(made)
    rows = [_row(work, bill, None if bill.invoice is None else next(drafts).id) for bill in applied]
    if rows:
        work.connection.execute(sa.insert(billed_periods), rows)
    record_rated_periods(work, applied, late_usage_window)
    dropped = [AuditedChange(bill.step.before.id, after=bill.dropped) for bill in applied if bill.dropped is not None]
    work.audit_all("usage.drop", dropped)
    return RecordedBills(
        applied=applied, invoices=(*_finalized_if_automatic(work, made[: len(asked)]), *made[len(asked) :])
    )


def _finalized_if_automatic(work: UnitOfWork, drafts: Sequence[Invoice]) -> Sequence[Invoice]:
    """Final, where the account wants that."""
    if drafts and get_settings(work.connection, work.account).auto_finalize:
        return finalize_invoices(work, [draft.id for draft in drafts])
    return drafts


def _row(work: UnitOfWork, bill: PlannedBill, invoice_id: str | None) -> dict[str, object]:
    return {
        "subscription_id": bill.step.before.id,
        "kind": bill.step.kind.value,
        "boundary": bill.step.boundary,
        "invoice_id": invoice_id,
        "watermark": None if bill.watermark is None else msgspec.json.encode(bill.watermark.flushes).decode(),
        "created_at": work.now,
    }
