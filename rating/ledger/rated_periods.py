"""Rated periods in the ledger: what was billed of each price's usage, from which late usage is calculated."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa

from rating.core.late_usage import LateUsageWindow, RatedPeriod
from rating.core.planned_bill import PlannedBill
from rating.core.pricing import Group
from rating.core.proration import ServicePeriod
from rating.ledger.invoice_tables import rated_periods
from rating.ledger.tables import subscriptions
from rating.ledger.unit_of_work import UnitOfWork
from schemas.plan import UsagePrice
from schemas.watermark import Watermark


class _Details(msgspec.Struct, frozen=True, kw_only=True):
    """A rated period as stored in JSON, whose keys can only be strings."""

    price: UsagePrice
    service: ServicePeriod
    timezone: str
    quantities: tuple[tuple[Group, Decimal], ...]
    watermark: Watermark


_decoder = msgspec.json.Decoder(_Details)


def get_open_periods(connection: sa.Connection, ids: Sequence[str]) -> dict[str, tuple[RatedPeriod, ...]]:
    """By subscription, the periods that were open at its last cycle step, which was where its current period began."""
    rows = connection.execute(
        sa.select(rated_periods.c.subscription_id, rated_periods.c.details)
        .join(subscriptions, subscriptions.c.id == rated_periods.c.subscription_id)
        .where(subscriptions.c.id.in_(ids), rated_periods.c.open_until > subscriptions.c.period_start)
        .order_by(rated_periods.c.subscription_id, rated_periods.c.period_start, rated_periods.c.price_code)
    )
    found = defaultdict[str, list[RatedPeriod]](list)
    for row in rows:
        found[row.subscription_id].append(_to_period(row.details))
    return {one: tuple(periods) for one, periods in found.items()}


def record_rated_periods(work: UnitOfWork, bills: Iterable[PlannedBill], late_usage_window: LateUsageWindow) -> None:
    """Stores what these bills rated for the first time, and what they rated again."""
    rated, rerated = list[dict[str, Any]](), list[dict[str, Any]]()
    for bill in bills:
        subscription = bill.step.before.id
        rated += (_values(work, subscription, period, late_usage_window) for period in bill.rated)
        rerated += (_changes(work, subscription, period) for period in bill.rerated)
    if rated:
        work.connection.execute(sa.insert(rated_periods), rated)
    if rerated:
        work.connection.execute(_update, rerated)


_update = (
    sa.update(rated_periods)
    .where(
        rated_periods.c.subscription_id == sa.bindparam("of_subscription"),
        rated_periods.c.period_start == sa.bindparam("from_start"),
        rated_periods.c.price_code == sa.bindparam("at_price"),
    )
    .values(details=sa.bindparam("now_details"), updated_at=sa.bindparam("now"))
)


def _values(
    work: UnitOfWork, subscription: str, period: RatedPeriod, late_usage_window: LateUsageWindow
) -> dict[str, Any]:
    return {
        "subscription_id": subscription,
        "period_start": period.service.start,
        "price_code": period.price.code,
        "period_end": period.service.end,
        "open_until": late_usage_window.open_until(period.service.end),
        "details": _text(period),
        "created_at": work.now,
        "updated_at": work.now,
    }


def _changes(work: UnitOfWork, subscription: str, period: RatedPeriod) -> dict[str, Any]:
    return {
        "of_subscription": subscription,
        "from_start": period.service.start,
        "at_price": period.price.code,
        "now_details": _text(period),
        "now": work.now,
    }


def _text(period: RatedPeriod) -> str:
    details = _Details(
        price=period.price,
        service=period.service,
        timezone=period.timezone,
        quantities=tuple(period.quantities.items()),
        watermark=period.watermark,
    )
    return msgspec.json.encode(details).decode()


def _to_period(text: str) -> RatedPeriod:
    details = _decoder.decode(text)
    return RatedPeriod(
        price=details.price,
        service=details.service,
        timezone=details.timezone,
        quantities=dict(details.quantities),
        watermark=details.watermark,
    )
