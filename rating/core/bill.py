"""The lines that a subscription is billed at a boundary: the period that ended, the one that begins, and late usage."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from rating.core.charge import Charge, Quantities, charge
from rating.core.lines import charge_lines, fee_line, refund_line
from rating.core.local_time import last_date, local_date
from rating.core.rated_period import RatedPeriod
from rating.core.service_period import ServicePeriod
from schemas.draft_lines import DraftLine
from schemas.plan import PlanVersion, Timing, UsagePrice
from schemas.timestamps import to_iso

_ZERO = Decimal(0)

UsageByPrice = Mapping[str, Quantities]
"""Price code → group → quantity; a price that is not in it was not used."""


def bill_lines(
    plan: PlanVersion,
    *,
    ended: ServicePeriod | None = None,
    begins: ServicePeriod | None = None,
    usage: UsageByPrice | None = None,
) -> list[DraftLine]:
    """Fees for the period that begins, then fees and usage of the one that ended.

    The first invoice has no `ended`, the last no `begins`. The plan comes with the subscription's overrides applied.
    """
    lines = []
    for fee in plan.fixed_fees:
        service = begins if fee.timing is Timing.ADVANCE else ended
        if service is not None and (line := fee_line(fee, service)) is not None:
            lines.append(line)
    if ended is not None:
        for price in plan.usage_prices:
            charged = charge(price, (usage or {}).get(price.code, {}), plan.currency, ended.portion)
            lines += charge_lines(price, charged, plan.currency, ended)
    return lines


def refund_lines(plan: PlanVersion, unused: ServicePeriod) -> list[DraftLine]:
    """What fees paid in advance give back for the days a subscription does not use, each rounded alone."""
    lines = (refund_line(fee, unused) for fee in plan.fixed_fees if fee.timing is Timing.ADVANCE)
    return [line for line in lines if line is not None]


def difference_lines(
    price: UsagePrice, now: Charge, before: Charge, *, currency: str, service: ServicePeriod
) -> list[DraftLine]:
    """What a period's charge comes to now, less what was billed of it: one line for each that changed.

    Both are rounded before they are subtracted, so the parts of a period add up to the whole to the cent. Below zero
    is a credit.
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
    """The line of a group or a minimum that is no more: nothing was used, nothing is owed."""
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


def late_lines(period: RatedPeriod, quantities: Quantities, currency: str) -> list[DraftLine]:
    """The whole period at its own terms, less what was billed of it; they say which period that is."""
    price, portion = period.price, period.service.portion
    now = charge(price, quantities, currency, portion)
    before = charge(price, period.quantities, currency, portion)
    dates = _dates(period)
    return [
        msgspec.structs.replace(line, description=f"{line.description}, counted late for {dates}")
        for line in difference_lines(price, now, before, currency=currency, service=period.service)
    ]


def _dates(period: RatedPeriod) -> str:
    """`2027-01-15 to 2027-01-31`, or one date."""
    first = local_date(period.service.start, period.timezone)
    last = last_date(period.service.end, period.timezone)
    return f"{first}" if first == last else f"{first} to {last}"
