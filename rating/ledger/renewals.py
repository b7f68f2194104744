"""What a billing run asks of subscriptions: which are due, and what is next for them."""

from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa

from rating.core.cycle_step import Turn, TurnKind, turn
from rating.core.subscription_lifecycle import Verb
from rating.ledger.billing_settings import late_usage_of
from rating.ledger.customer_tables import billing_settings, customers
from rating.ledger.customers import to_customer
from rating.ledger.plan_rows import versions_of
from rating.ledger.rated_periods import open_periods_of
from rating.ledger.subscription_creation import take_over
from rating.ledger.subscription_rows import DEFAULT_ZONE, selected, store, to_subscription, touched
from rating.ledger.subscription_tables import subscriptions
from rating.ledger.unit_of_work import Work
from schemas.ids import AccountId
from schemas.subscription import Subscription


def due_subscriptions(
    connection: sa.Connection, account: AccountId | None, as_of: int, after: str | None, limit: int
) -> Sequence[Subscription]:
    """Those with something to bill at `as_of`, by id, `after` the last one seen; of all accounts where None is given.

    One that is far behind is due again after its turn: ask until there is none.
    """
    due = selected.where(_is_due(account, as_of))
    if after is not None:
        due = due.where(subscriptions.c.id > after)
    return [to_subscription(row) for row in connection.execute(due.order_by(subscriptions.c.id).limit(limit))]


def count_due(connection: sa.Connection, account: AccountId | None, as_of: int) -> int:
    """How many there are."""
    counted = sa.select(sa.func.count()).select_from(subscriptions).where(_is_due(account, as_of))
    return int(connection.execute(counted).scalar_one())


def next_turns(connection: sa.Connection, due: Iterable[Subscription]) -> list[Turn]:
    """What is to be billed for each, before anything is changed: so that a run knows which usage to read."""
    due = list(due)
    plans = versions_of(connection, {(one.plan_id, one.plan_version) for one in due})
    zones = _zones(connection, {one.customer_id for one in due})
    late_usage = late_usage_of(connection, {one.account for one in due})
    open_periods = open_periods_of(connection, [one.id for one in due])
    return [
        msgspec.structs.replace(
            turn(one, plans[one.plan_id, one.plan_version], zones[one.customer_id]),
            open_periods=open_periods.get(one.id, ()),
            late_usage=late_usage[one.account],
        )
        for one in due
    ]


def roll_forward(work: Work, turns: Iterable[Turn]) -> list[Turn]:
    """Takes these turns, and gives those that were taken: one whose subscription has changed since is left alone.

    In the transaction that keeps their invoices: so both are done, once, or neither is.
    """
    turns = list(turns)
    ids = [one.before.id for one in turns]
    these = selected.where(subscriptions.c.id.in_(ids), subscriptions.c.account_id == work.account)
    rows = work.connection.execute(these.order_by(subscriptions.c.id).with_for_update(of=subscriptions))
    found = {row.id: to_subscription(row) for row in rows}
    taken = [one for one in turns if found.get(one.before.id) == one.before]
    store(work.connection, [touched(work, one.after) for one in taken])
    for one in taken:
        if one.before.status is not one.after.status:
            work.note(f"subscription.{_word(one)}", one.after.id, one.before, one.after)
        if one.kind is not TurnKind.LATE and one.after.next_id is not None and one.after.ended_at is not None:
            take_over(work, one.after.next_id, one.after.ended_at)
    return taken


def _word(taken: Turn) -> str:
    return Verb.ENDED.value if taken.after.ended_at is not None else Verb.RENEWED.value


def _zones(connection: sa.Connection, ids: set[str]) -> dict[str, str]:
    """As `zone_of` tells it, of many at once."""
    ours = billing_settings.c.account_id == customers.c.account_id
    rows = sa.select(customers, billing_settings.c.timezone.label("ours")).outerjoin(billing_settings, ours)
    found = connection.execute(rows.where(customers.c.id.in_(ids)))
    return {row.id: to_customer(row).timezone or row.ours or DEFAULT_ZONE for row in found}


def _is_due(account: AccountId | None, as_of: int) -> sa.ColumnElement[bool]:
    due = subscriptions.c.due_at <= as_of
    return due if account is None else due & (subscriptions.c.account_id == account)
