"""Pricing: a usage price turns the quantities of a period into amounts, with the exact decimals behind each."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from rating.core.proration import WHOLE, Portion, prorated_to_minor
from schemas.draft_lines import TierPart
from schemas.money import EXACT, ROUNDING, percent_of, to_minor
from schemas.plan import UsagePrice
from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume

Group = tuple[str | None, ...]
"""Values of the price's group keys, in their order; empty if the price has none."""

Quantities = Mapping[Group, Decimal]

_ZERO = Decimal(0)


class RatedQuantity(msgspec.Struct, frozen=True, kw_only=True):
    """What one quantity costs before the charge's minimum and maximum. Amounts are minor units unless noted."""

    quantity: Decimal
    """As measured."""
    billed_quantity: Decimal
    """The quantity less the usage discount, never below zero."""
    amount_exact: Decimal
    """In major units, before it was rounded to `gross`."""
    gross: int
    percent_discount: int
    amount: int
    tiers: tuple[TierPart, ...] = ()
    packages: int | None = None


class GroupCharge(msgspec.Struct, frozen=True, kw_only=True):
    """One group's share of a charge."""

    group: Group
    rated: RatedQuantity
    cut: int
    """The group's share of what the charge's maximum takes off."""

    @property
    def amount(self) -> int:
        return self.rated.amount - self.cut


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A usage price over all its groups in one period: each group priced alone, one minimum and one maximum for all."""

    groups: tuple[GroupCharge, ...]
    true_up: int
    """What the minimum adds to the sum of the groups."""


def charge(usage: UsagePrice, quantities: Quantities, currency: str, portion: Portion = WHOLE) -> Charge:
    """What the usage price costs for these quantities.

    A price without group keys is charged without usage too (a first tier's fee, a flat amount); a group is not.
    """
    measured = quantities if usage.group_by else {(): _ZERO, **quantities}
    rated = [(group, rate(usage.price, measured[group], currency, portion)) for group in sorted(measured, key=_order)]
    amounts = [one.amount for _, one in rated]
    cuts = _cuts(amounts, _excess(usage.price, sum(amounts), currency))
    groups = (GroupCharge(group=group, rated=one, cut=cut) for (group, one), cut in zip(rated, cuts, strict=True))
    return Charge(groups=tuple(groups), true_up=_true_up(usage.price, sum(amounts), currency, portion))


def rate(price: Price, quantity: Decimal, currency: str, portion: Portion = WHOLE) -> RatedQuantity:
    """The cost of a quantity: usage discount, price model, rounding and percentage discount, applied in this order.

    Only a flat amount depends on the portion of the period.
    """
    billed = max(_ZERO, EXACT.subtract(max(_ZERO, quantity), price.usage_discount))
    parts: tuple[TierPart, ...] = ()
    packages: int | None = None
    match price:
        case Flat():
            # 60 digits are too many for the rounding of the quotient to move the rounding to minor units.
            exact = ROUNDING.divide(EXACT.multiply(price.amount, Decimal(portion.days)), Decimal(portion.period_days))
        case PerUnit():
            exact = EXACT.multiply(billed, price.unit_price)
        case Graduated():
            parts = graduated(price.tiers, billed)
            exact = tiers_total(parts)
        case Volume():
            parts = volume(price.tiers, billed)
            exact = tiers_total(parts)
        case Package():
            packages = _packages(price, billed)
            exact = EXACT.multiply(Decimal(packages), price.package_price)
        case _:
            assert_never(price)
    gross = to_minor(exact, currency)
    discount = percent_of(gross, price.percent_discount) if price.percent_discount else 0
    return RatedQuantity(
        quantity=quantity,
        billed_quantity=billed,
        amount_exact=exact,
        gross=gross,
        percent_discount=discount,
        amount=gross - discount,
        tiers=parts,
        packages=packages,
    )


def graduated(tiers: Sequence[Tier], quantity: Decimal) -> tuple[TierPart, ...]:
    """The part of the quantity in each tier that it reaches; it reaches the first even at zero."""
    parts = []
    bound = _ZERO
    for number, tier in enumerate(tiers, 1):
        if number > 1 and quantity <= bound:
            break
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        parts.append(_part(number, tier, EXACT.subtract(top, bound)))
        bound = quantity if tier.up_to is None else tier.up_to
    return tuple(parts)


def volume(tiers: Sequence[Tier], quantity: Decimal) -> tuple[TierPart, ...]:
    """The whole quantity, in the one tier that holds it."""
    for number, tier in enumerate(tiers, 1):
        if tier.up_to is None or quantity <= tier.up_to:
            return (_part(number, tier, quantity),)
    raise ValueError("the last tier of a price is open")


def tiers_total(parts: Sequence[TierPart]) -> Decimal:
    amount = _ZERO
    for part in parts:
        amount = EXACT.add(amount, part.amount)
    return amount


def _part(number: int, tier: Tier, quantity: Decimal) -> TierPart:
    return TierPart(
        tier=number,
        quantity=quantity,
        unit_price=tier.unit_price,
        flat_fee=tier.flat_fee,
        amount=EXACT.add(EXACT.multiply(quantity, tier.unit_price), tier.flat_fee),
    )


def _packages(price: Package, quantity: Decimal) -> int:
    """The packages that the quantity starts once the free units are used up."""
    whole, rest = EXACT.divmod(max(_ZERO, EXACT.subtract(quantity, price.free_units)), price.package_size)
    return int(whole) + (1 if rest else 0)


def _order(group: Group) -> tuple[tuple[bool, str], ...]:
    """Sorts groups by value, a missing value last."""
    return tuple((value is None, value or "") for value in group)


def _true_up(price: Price, amount: int, currency: str, portion: Portion) -> int:
    """The shortfall from the minimum, which is owed for the days of service only."""
    return 0 if price.minimum is None else max(0, prorated_to_minor(price.minimum, currency, portion) - amount)


def _excess(price: Price, amount: int, currency: str) -> int:
    """What exceeds the maximum, which is the same for a stub as for a full period."""
    return 0 if price.maximum is None else max(0, amount - to_minor(price.maximum, currency))


def _cuts(amounts: list[int], cut: int) -> list[int]:
    """The cut taken from the last amounts first, none of them to below zero."""
    cuts = []
    for amount in reversed(amounts):
        taken = min(amount, cut)
        cuts.append(taken)
        cut -= taken
    return cuts[::-1]
