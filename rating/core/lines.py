"""Invoice lines: the fees, refunds and usage charges of a cycle step, each under a reference that never changes."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from rating.core.pricing import Charge, Group, GroupCharge, Quantities, charge
from rating.core.proration import ServicePeriod, prorated
from schemas.draft_lines import DraftLine, UsageDetail
from schemas.invoice import NewLine
from schemas.money import MAX_MINOR, exponent
from schemas.plan import FixedFee, PlanVersion, Timing, UsagePrice
from schemas.price import PerUnit, Price

_LONGEST_REFERENCE = 480
"""The ledger holds 512 characters; a line for late usage adds the start of its period."""

UsageByPrice = Mapping[str, Quantities]
"""Price code → group → quantity; a price that is missing was not used."""


def bill_lines(
    plan: PlanVersion,
    *,
    ended: ServicePeriod | None = None,
    begins: ServicePeriod | None = None,
    usage: UsageByPrice | None = None,
) -> list[DraftLine]:
    """Fees in advance for the period that begins, then fees in arrears and usage of the period that ended.

    The first invoice has no `ended`, the last no `begins`. The plan has the subscription's overrides applied.
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
    """The fees paid in advance for days that the subscription does not use, each rounded alone, below zero."""
    lines = (refund_line(fee, unused) for fee in plan.fixed_fees if fee.timing is Timing.ADVANCE)
    return [line for line in lines if line is not None]


def fee_line(fee: FixedFee, service: ServicePeriod) -> DraftLine | None:
    """The fee for the days of service; None if that is nothing."""
    amount = prorated(fee.amount_cents, service.portion)
    return _plain(f"fixed:{fee.code}", fee.name + _days(service), amount, service)


def refund_line(fee: FixedFee, unused: ServicePeriod) -> DraftLine | None:
    """The fee paid in advance for days that are not used, below zero; None if that is nothing."""
    amount = -prorated(fee.amount_cents, unused.portion)
    return _plain(f"refund:{fee.code}", f"{fee.name}, unused{_days(unused)}", amount, unused)


def charge_lines(
    usage: UsagePrice, charged: Charge, currency: str, service: ServicePeriod, *, every_group: bool = False
) -> list[DraftLine]:
    """One line for each group with usage or an amount (or for `every_group`), and one for what the minimum adds."""
    lines = [
        _usage_line(usage, group, currency, service)
        for group in charged.groups
        if every_group or group.rated.quantity > 0 or group.amount
    ]
    minimum = _plain(f"minimum:{usage.code}", f"{usage.name}, up to the minimum", charged.true_up, service)
    return lines if minimum is None else [*lines, minimum]


def _plain(reference: str, description: str, amount: int, service: ServicePeriod) -> DraftLine | None:
    if amount == 0:
        return None
    return DraftLine(
        reference=reference,
        description=description,
        quantity=1,
        unit_amount=amount,
        amount=amount,
        period_start=service.start,
        period_end=service.end,
    )


def _usage_line(usage: UsagePrice, charged: GroupCharge, currency: str, service: ServicePeriod) -> DraftLine:
    quantity, unit_amount = _whole_numbers(usage.price, charged, currency)
    return DraftLine(
        reference=_reference(usage, charged.group),
        description=usage.name + _named(usage, charged.group),
        quantity=quantity,
        unit_amount=unit_amount,
        amount=charged.amount,
        period_start=service.start,
        period_end=service.end,
        usage=_detail(usage, charged),
    )


def _detail(usage: UsagePrice, charged: GroupCharge) -> UsageDetail:
    rated = charged.rated
    return UsageDetail(
        price=usage.code,
        meter=usage.meter,
        group=dict(zip(usage.group_by, charged.group, strict=True)),
        terms=usage.price,
        quantity=rated.quantity,
        billed_quantity=rated.billed_quantity,
        amount_exact=rated.amount_exact,
        gross=rated.gross,
        percent_discount=rated.percent_discount,
        cut=charged.cut,
        packages=rated.packages,
        tiers=rated.tiers,
    )


def _whole_numbers(price: Price, charged: GroupCharge, currency: str) -> tuple[int, int]:
    """Quantity and unit amount if both are whole and their product is the amount; otherwise 1 and the amount."""
    if isinstance(price, PerUnit):
        quantity, unit = charged.rated.quantity, price.unit_price.scaleb(exponent(currency))
        if quantity == quantity.to_integral_value() and unit == unit.to_integral_value():
            plain = int(quantity) * int(unit) == charged.amount
            if plain and 0 < quantity <= MAX_MINOR:
                return int(quantity), int(unit)
    return 1, charged.amount


def _reference(usage: UsagePrice, group: Group) -> str:
    """`usage:calls`, or with groups `usage:calls:["eu",null]`: unique for every group, however long its values are."""
    suffix = f":{msgspec.json.encode(group).decode()}" if usage.group_by else ""
    whole = f"usage:{usage.code}{suffix}"
    if len(whole) <= _LONGEST_REFERENCE:
        return whole
    rest = blake2b(whole.encode(), digest_size=16).hexdigest()
    return f"{whole[: _LONGEST_REFERENCE - len(rest) - 1]}#{rest}"


def _named(usage: UsagePrice, group: Group) -> str:
    named = zip(usage.group_by, group, strict=True)
    text = ", ".join(f"{key}: {'none' if value is None else value}" for key, value in named)
    return f" ({text})" if text else ""


def _days(service: ServicePeriod) -> str:
    portion = service.portion
    return "" if portion.is_whole else f" ({portion.days} of {portion.period_days} days)"


def to_new_line(line: DraftLine, usage: Any) -> NewLine:
    """`usage` is the document that the invoice stores of the decimals behind the line."""
    return NewLine(
        reference=line.reference,
        description=line.description,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        usage=usage,
        period_start=line.period_start,
        period_end=line.period_end,
    )
