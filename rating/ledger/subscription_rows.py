"""Subscriptions as rows of the ledger: from a row to a record, and back."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from rating.core.local_time import zone
from rating.ledger.rows import RowById
from rating.ledger.tables import billing_settings, plans, subscriptions
from rating.ledger.unit_of_work import UnitOfWork
from schemas.customer import Customer
from schemas.errors import NotFound
from schemas.ids import AccountId
from schemas.subscription import Status, Subscription, SubscriptionDetails

# The fields that have a column of their own; the others are stored as JSON.
_ELSEWHERE = (*SubscriptionDetails.__struct_fields__, "account", "plan_code")
_COLUMNS = tuple(name for name in Subscription.__struct_fields__ if name not in _ELSEWHERE)
DEFAULT_ZONE = "UTC"

_details = msgspec.json.Decoder(SubscriptionDetails)

select_subscriptions = sa.select(subscriptions, plans.c.code.label("plan_code")).join(
    plans, plans.c.id == subscriptions.c.plan_id
)
_by_id = RowById(select_subscriptions, subscriptions)


def get_subscription(
    connection: sa.Connection, account: AccountId, subscription_id: str, *, lock: bool = False
) -> Subscription:
    """Raises NotFound. With `lock`, other transactions cannot change the subscription until this one ends."""
    row = _by_id.find(connection, account, subscription_id, lock=lock)
    if row is None:
        raise NotFound(f"there is no subscription {subscription_id!r} in this account")
    return to_subscription(row)


def list_live_subscriptions(connection: sa.Connection, customer_id: str, plan_id: str) -> Sequence[Subscription]:
    """The customer's subscriptions to the plan that have not ended."""
    live = subscriptions.c.status != Status.CANCELED.value
    this = select_subscriptions.where(
        subscriptions.c.customer_id == customer_id, subscriptions.c.plan_id == plan_id, live
    )
    return [to_subscription(row) for row in connection.execute(this.order_by(subscriptions.c.id))]


def insert_subscription(work: UnitOfWork, made: Subscription) -> Subscription:
    work.connection.execute(sa.insert(subscriptions), _values(made))
    work.audit("subscription.create", made.id, after=made)
    return made


def save_subscription(work: UnitOfWork, action: str, before: Subscription, now: Subscription) -> Subscription:
    """Writes the changed subscription, with the time of the change, and its audit entry."""
    after = touched(work, now)
    save_subscriptions(work.connection, [after])
    work.audit(action, after.id, before, after)
    return after


def touched(work: UnitOfWork, subscription: Subscription) -> Subscription:
    return msgspec.structs.replace(subscription, updated_at=max(work.now, subscription.updated_at))


def save_subscriptions(connection: sa.Connection, changed: Iterable[Subscription]) -> None:
    """Writes many subscriptions with one statement."""
    values = [{f"new_{name}": value for name, value in _values(one).items()} for one in changed]
    if values:
        columns: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in (*_COLUMNS, "details")}
        this = subscriptions.c.id == sa.bindparam("new_id")
        connection.execute(sa.update(subscriptions).where(this).values(columns), values)


def get_timezone(connection: sa.Connection, customer: Customer) -> str:
    """The customer's time zone, or the account's, or UTC."""
    name = customer.timezone
    if name is None:
        of_account = sa.select(billing_settings.c.timezone).where(billing_settings.c.account_id == customer.account)
        name = connection.scalar(of_account) or DEFAULT_ZONE
    zone(name)
    return name


def _values(subscription: Subscription) -> dict[str, Any]:
    details = SubscriptionDetails(
        **{name: getattr(subscription, name) for name in SubscriptionDetails.__struct_fields__}
    )
    return {
        "account_id": subscription.account,
        "details": msgspec.json.encode(details).decode(),
        **{name: getattr(subscription, name) for name in _COLUMNS},
        "status": subscription.status.value,
    }


def to_subscription(row: Any) -> Subscription:
    fields = {name: getattr(row, name) for name in _COLUMNS}
    fields |= {"account": AccountId(row.account_id), "plan_code": row.plan_code, "status": Status(row.status)}
    return Subscription(**msgspec.structs.asdict(_details.decode(row.details)), **fields)
