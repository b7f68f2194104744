"""Which plans need a meter: those whose prices ask for what it counts."""

import sqlalchemy as sa

from rating.ledger.plan_rows import to_version
from rating.ledger.subscription_tables import plan_versions, plans, subscriptions
from schemas.errors import Conflict
from schemas.ids import AccountId
from schemas.subscription import Status


def check_not_priced(connection: sa.Connection, account: AccountId, meter: str) -> None:
    """Raises Conflict where a version in force prices the meter."""
    for row in connection.execute(_in_force(account)):
        version = to_version(row, row)
        if any(usage.meter == meter for usage in version.usage_prices):
            raise Conflict(
                f"the meter {meter!r} is priced by version {version.version} of plan {version.code!r}; first publish a "
                "version without it (or archive the plan), and move or end the subscriptions to this one",
                code="METER_PRICED",
            )


def _in_force(account: AccountId) -> sa.Select[tuple[object, ...]]:
    """What is subscribed to now, and what somebody still pays."""
    older = plan_versions.alias()
    published = older.c.published_at.is_not(None)
    newest = sa.select(sa.func.max(older.c.version)).where(older.c.plan_id == plans.c.id, published).scalar_subquery()
    paid = sa.exists().where(
        subscriptions.c.plan_id == plan_versions.c.plan_id,
        subscriptions.c.plan_version == plan_versions.c.version,
        (subscriptions.c.status != Status.CANCELED) | subscriptions.c.due_at.is_not(None),
    )
    offered = plans.c.archived_at.is_(None) & (plan_versions.c.version == newest)
    return (
        sa.select(plan_versions, plans.c.code, plans.c.name)
        .join(plans, plans.c.id == plan_versions.c.plan_id)
        .where(plans.c.account_id == account, plan_versions.c.published_at.is_not(None), offered | paid)
        .order_by(plans.c.id, plan_versions.c.version.desc())
    )
