"""Late usage: what was rated of a period, how long the period stays open, and the lines for what was counted since."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from rating.core.billed_usage import to_document
from rating.core.lines import charge_lines, to_new_line
from rating.core.local_time import last_date, local_date
from rating.core.pricing import Charge, Quantities, charge
from rating.core.proration import ServicePeriod
from rating.core.usage_needs import MeasuredUsage, UsageKey
from schemas.draft_lines import DraftLine
from schemas.errors import Busy
from schemas.invoice import NewLine
from schemas.plan import UsagePrice
from schemas.timestamps import to_iso
from schemas.watermark import Watermark

_ZERO = Decimal(0)


class RatedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One price's usage of one period as it was last rated: anything counted beyond it is late."""

    price: UsagePrice
    """With the overrides that the subscription had then."""
    service: ServicePeriod
    timezone: str
    """The zone in which the period's days were counted."""
    quantities: Quantities
    watermark: Watermark
    """The watermark at which the quantities were read."""


class LateUsageWindow(msgspec.Struct, frozen=True, kw_only=True):
    """For how long after its end, in microseconds, a period may still receive usage."""

    window: int
    as_of: int
    """Usage measured now includes everything that arrived by this moment."""

    def open_until(self, end: int) -> int:
        """The moment a period ending at `end` closes: `end` itself if nothing more can arrive."""
        until = end + self.window
        return until if until > self.as_of else end


class UsageBehind(Busy):
    """The usage store has counted less than was billed already, so late usage cannot be determined."""


class LateBill(NamedTuple):
    """All late usage of one subscription."""

    lines: tuple[NewLine, ...]
    rerated: tuple[RatedPeriod, ...]
    """The periods whose usage has changed, with that usage, including those without a line."""


def billed_late(
    subscription_id: str,
    open_periods: Sequence[RatedPeriod],
    measured: Mapping[UsageKey, MeasuredUsage],
    currency: str,
) -> LateBill:
    """The late usage of a subscription's open periods. Raises UsageBehind."""
    lines: list[NewLine] = []
    rerated: list[RatedPeriod] = []
    for period in open_periods:
        found = measured[subscription_id, period.price.code, period.service.start]
        if found.quantities == period.quantities:
            continue
        _check_newer(period, found.watermark)
        rerated.append(msgspec.structs.replace(period, quantities=found.quantities, watermark=found.watermark))
        for line in _late_lines(period, found.quantities, currency):
            usage = line.usage and to_document(line.usage, period.service.portion, found.watermark)
            lines.append(to_new_line(line, usage))
    return LateBill(lines=tuple(lines), rerated=tuple(rerated))


def _check_newer(period: RatedPeriod, watermark: Watermark) -> None:
    counted = watermark.flushes
    if any(counted.get(partition, -1) < flush for partition, flush in period.watermark.flushes.items()):
        raise UsageBehind(
            f"meter {period.price.meter}: less is counted than was billed already, as after a restore of the usage "
            "store from a backup; the next run tries again"
        )


def _late_lines(period: RatedPeriod, quantities: Quantities, currency: str) -> list[DraftLine]:
    """The whole period at its own terms, less what was billed of it; the descriptions name the period."""
    price, portion = period.price, period.service.portion
    now = charge(price, quantities, currency, portion)
    before = charge(price, period.quantities, currency, portion)
    dates = _dates(period)
    return [
        msgspec.structs.replace(line, description=f"{line.description}, counted late for {dates}")
        for line in difference_lines(price, now, before, currency=currency, service=period.service)
    ]


def difference_lines(
    price: UsagePrice, now: Charge, before: Charge, *, currency: str, service: ServicePeriod
) -> list[DraftLine]:
    """A period's charge now, less what was billed of it: one line for each that changed. A credit is below zero.

    Both charges are rounded before they are subtracted, so the parts of a period add up to the whole to the cent.
    """
    newer = _by_reference(charge_lines(price, now, currency, service, every_group=True))
    older = _by_reference(charge_lines(price, before, currency, service, every_group=True))
    gone = {reference: _emptied(line) for reference, line in older.items() if reference not in newer}
    lines = (_changed(line, older.get(reference)) for reference, line in {**newer, **gone}.items())
    return [line for line in lines if line.amount]


def _by_reference(lines: Sequence[DraftLine]) -> dict[str, DraftLine]:
    return {line.reference: line for line in lines}


def _changed(now: DraftLine, before: DraftLine | None) -> DraftLine:
    amount = now.amount - (before.amount if before else 0)
    usage = now.usage
    if usage is not None and before is not None and before.usage is not None:
        usage = msgspec.structs.replace(usage, rated_before=before.usage.quantity, cut_before=before.usage.cut)
    return msgspec.structs.replace(
        now,
        reference=f"{now.reference}@{to_iso(now.period_start)}",
        quantity=1,
        unit_amount=amount,
        amount=amount,
        usage=usage,
    )


def _emptied(line: DraftLine) -> DraftLine:
    """The line of a group or a minimum that no longer exists: without usage, and without an amount."""
    usage = line.usage and msgspec.structs.replace(
        line.usage,
        quantity=_ZERO,
        billed_quantity=_ZERO,
        amount_exact=_ZERO,
        gross=0,
        percent_discount=0,
        cut=0,
        packages=None,
        tiers=(),
    )
    return msgspec.structs.replace(line, amount=0, usage=usage)


def _dates(period: RatedPeriod) -> str:
    """`2027-01-15 to 2027-01-31`, or one date."""
    first = local_date(period.service.start, period.timezone)
    last = last_date(period.service.end, period.timezone)
    return f"{first}" if first == last else f"{first} to {last}"
