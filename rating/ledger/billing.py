"""Billing in the ledger: which subscriptions are due, their next cycle steps, and each bill recorded once."""

from collections.abc import Callable, Iterable, Sequence

import msgspec
import sqlalchemy as sa

from rating.core.cycle_step import CycleStep, CycleStepKind, next_step
from rating.core.late_usage import LateUsageWindow
from rating.core.planned_bill import PlannedBill, RecordedBills
from rating.core.subscription_lifecycle import SubscriptionTransition
from rating.ledger.billing_settings import get_late_usage, get_settings
from rating.ledger.customers import to_customer
from rating.ledger.database import Database
from rating.ledger.finalization import finalize_invoices
from rating.ledger.invoice_drafts import draft_invoices, preview_invoice
from rating.ledger.invoice_tables import billed_periods
from rating.ledger.plan_rows import get_versions
from rating.ledger.rated_periods import get_open_periods, record_rated_periods
from rating.ledger.subscription_creation import start_successor
from rating.ledger.subscription_rows import (
    DEFAULT_ZONE,
    get_subscription,
    save_subscriptions,
    select_subscriptions,
    to_subscription,
    touched,
)
from rating.ledger.tables import billing_settings, customers, subscriptions
from rating.ledger.unit_of_work import AuditedChange, Transactions, UnitOfWork
from schemas.command import Command
from schemas.errors import Conflict
from schemas.ids import AccountId
from schemas.invoice import Invoice, NewInvoice
from schemas.subscription import Subscription


def due_subscriptions(
    connection: sa.Connection, account: AccountId | None, as_of: int, after: str | None, limit: int
) -> Sequence[Subscription]:
    """Subscriptions with a cycle step due at `as_of`, ordered by id, `after` the last id seen; None is all accounts.

    A subscription that is several periods behind is due again after its step: query until none is left.
    """
    due = select_subscriptions.where(_is_due(account, as_of))
    if after is not None:
        due = due.where(subscriptions.c.id > after)
    return [to_subscription(row) for row in connection.execute(due.order_by(subscriptions.c.id).limit(limit))]


def count_due(connection: sa.Connection, account: AccountId | None, as_of: int) -> int:
    counted = sa.select(sa.func.count()).select_from(subscriptions).where(_is_due(account, as_of))
    return int(connection.execute(counted).scalar_one())


def next_steps(connection: sa.Connection, due: Iterable[Subscription]) -> list[CycleStep]:
    """The next step of each subscription, before any change is made, so that a run knows which usage to read."""
    due = list(due)
    plans = get_versions(connection, {(one.plan_id, one.plan_version) for one in due})
    zones = _zones(connection, {one.customer_id for one in due})
    late_usage = get_late_usage(connection, {one.account for one in due})
    open_periods = get_open_periods(connection, [one.id for one in due])
    return [
        msgspec.structs.replace(
            next_step(one, plans[one.plan_id, one.plan_version], zones[one.customer_id]),
            open_periods=open_periods.get(one.id, ()),
            late_usage=late_usage[one.account],
        )
        for one in due
    ]


def apply_steps(work: UnitOfWork, steps: Iterable[CycleStep]) -> list[CycleStep]:
    """Applies these steps, and returns those applied: a step whose subscription has changed since is skipped.

    The same transaction records their invoices, so both happen, once, or neither does.
    """
    steps = list(steps)
    ids = [one.before.id for one in steps]
    these = select_subscriptions.where(subscriptions.c.id.in_(ids), subscriptions.c.account_id == work.account)
    rows = work.connection.execute(these.order_by(subscriptions.c.id).with_for_update(of=subscriptions))
    found = {row.id: to_subscription(row) for row in rows}
    applied = [one for one in steps if found.get(one.before.id) == one.before]
    save_subscriptions(work.connection, [touched(work, one.after) for one in applied])
    for one in applied:
        if one.before.status is not one.after.status:
            work.audit(f"subscription.{_audit_action(one)}", one.after.id, one.before, one.after)
        if one.kind is not CycleStepKind.LATE and one.after.next_id is not None and one.after.ended_at is not None:
            start_successor(work, one.after.next_id, one.after.ended_at)
    return applied


def _audit_action(applied: CycleStep) -> str:
    return (
        SubscriptionTransition.ENDED.value
        if applied.after.ended_at is not None
        else SubscriptionTransition.RENEWED.value
    )


def _zones(connection: sa.Connection, ids: set[str]) -> dict[str, str]:
    """The time zone of many customers, as `get_timezone` gives it for one."""
    of_account = billing_settings.c.account_id == customers.c.account_id
    rows = sa.select(customers, billing_settings.c.timezone.label("fallback")).outerjoin(billing_settings, of_account)
    found = connection.execute(rows.where(customers.c.id.in_(ids)))
    return {row.id: to_customer(row).timezone or row.fallback or DEFAULT_ZONE for row in found}


def _is_due(account: AccountId | None, as_of: int) -> sa.ColumnElement[bool]:
    due = subscriptions.c.due_at <= as_of
    return due if account is None else due & (subscriptions.c.account_id == account)


ACTOR = "invoice run"


class SqlBillingLedger:
    """The cycle steps of all accounts."""

    def __init__(self, database: Database, transactions: Transactions, clock: Callable[[], int]) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock

    async def count_due(self, account: AccountId | None, as_of: int) -> int:
        """The number of subscriptions with a step due at `as_of`."""
        return await self._database.read(lambda connection: count_due(connection, account, as_of))

    async def due(self, account: AccountId | None, as_of: int, after: str | None, limit: int) -> Sequence[CycleStep]:
        """The next steps of due subscriptions, ordered by subscription id, `after` the last id seen."""

        def query(connection: sa.Connection) -> Sequence[CycleStep]:
            return next_steps(connection, due_subscriptions(connection, account, as_of, after, limit))

        return await self._database.read(query)

    async def next_step(self, account: AccountId, subscription_id: str) -> CycleStep:
        """The subscription's next step, due or not. Raises NotFound, or Conflict if nothing more will be billed."""

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
        """The invoice with its figures, without storing it."""
        command = Command(account=account, actor=ACTOR, request_id="")

        def query(connection: sa.Connection) -> Invoice:
            return preview_invoice(UnitOfWork(connection, command, self._clock(), lambda: ""), new)

        return await self._database.read(query)

    async def record(
        self, run_id: str, bills: Sequence[PlannedBill], late_usage_window: LateUsageWindow
    ) -> RecordedBills:
        """Applies these bills of one account and stores their invoices, all in one transaction."""
        command = Command(account=bills[0].step.before.account, actor=ACTOR, request_id=run_id)
        done = await self._transactions.change(
            command, RecordedBills, lambda work: record_bills(work, bills, late_usage_window)
        )
        return done.answer


def record_bills(work: UnitOfWork, bills: Sequence[PlannedBill], late_usage_window: LateUsageWindow) -> RecordedBills:
    applied_ids = {
        step.before.id for step in apply_steps(work, [bill.step_to_apply(late_usage_window) for bill in bills])
    }
    applied = tuple(bill for bill in bills if bill.step.before.id in applied_ids)
    regular = [bill.invoice for bill in applied if bill.invoice is not None]
    held = [bill.held for bill in applied if bill.held is not None]
    made = draft_invoices(work, regular + held)
    drafts = iter(made)
    rows = [_row(work, bill, None if bill.invoice is None else next(drafts).id) for bill in applied]
    if rows:
        work.connection.execute(sa.insert(billed_periods), rows)
    record_rated_periods(work, applied, late_usage_window)
    dropped = [AuditedChange(bill.step.before.id, after=bill.dropped) for bill in applied if bill.dropped is not None]
    work.audit_all("usage.drop", dropped)
    return RecordedBills(
        applied=applied, invoices=(*_finalize_if_automatic(work, made[: len(regular)]), *made[len(regular) :])
    )


def _finalize_if_automatic(work: UnitOfWork, drafts: Sequence[Invoice]) -> Sequence[Invoice]:
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
