"""What a billing run asks of subscriptions: which are due, and what is next for them."""

from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa

from rating.core.cycle_step import CycleStep, CycleStepKind, next_step
from rating.core.subscription_lifecycle import SubscriptionTransition
from rating.ledger.billing_settings import get_late_usage
from rating.ledger.customer_tables import billing_settings, customers
from rating.ledger.customers import to_customer
from rating.ledger.plan_rows import get_versions
from rating.ledger.rated_periods import get_open_periods
from rating.ledger.subscription_creation import start_successor
from rating.ledger.subscription_rows import (
    DEFAULT_ZONE,
    save_subscriptions,
    select_subscriptions,
    to_subscription,
    touched,
)
from rating.ledger.subscription_tables import subscriptions
from rating.ledger.unit_of_work import UnitOfWork
from schemas.ids import AccountId
from schemas.subscription import Subscription


def due_subscriptions(
    connection: sa.Connection, account: AccountId | None, as_of: int, after: str | None, limit: int
) -> Sequence[Subscription]:
    """Those with something to bill at `as_of`, by id, `after` the last one seen; of all accounts where None is given.

    One that is far behind is due again after its turn: ask until there is none.
    """
    due = select_subscriptions.where(_is_due(account, as_of))
    if after is not None:
        due = due.where(subscriptions.c.id > after)
    return [to_subscription(row) for row in connection.execute(due.order_by(subscriptions.c.id).limit(limit))]


def count_due(connection: sa.Connection, account: AccountId | None, as_of: int) -> int:
    """How many there are."""
    counted = sa.select(sa.func.count()).select_from(subscriptions).where(_is_due(account, as_of))
    return int(connection.execute(counted).scalar_one())


def next_steps(connection: sa.Connection, due: Iterable[Subscription]) -> list[CycleStep]:
    """What is to be billed for each, before anything is changed: so that a run knows which usage to read."""
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
    """Takes these turns, and gives those that were taken: one whose subscription has changed since is left alone.

    In the transaction that keeps their invoices: so both are done, once, or neither is.
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
    """As `get_timezone` tells it, of many at once."""
    ours = billing_settings.c.account_id == customers.c.account_id
    rows = sa.select(customers, billing_settings.c.timezone.label("ours")).outerjoin(billing_settings, ours)
    found = connection.execute(rows.where(customers.c.id.in_(ids)))
    return {row.id: to_customer(row).timezone or row.ours or DEFAULT_ZONE for row in found}


def _is_due(account: AccountId | None, as_of: int) -> sa.ColumnElement[bool]:
    due = subscriptions.c.due_at <= as_of
    return due if account is None else due & (subscriptions.c.account_id == account)
