"""Pricing: a price turns one quantity into an amount, step by step, with the parts of every tier."""

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from rating.core.proration import WHOLE, Portion, prorated_to_minor
from schemas.draft_lines import TierPart
from schemas.money import EXACT, ROUNDING, percent_of, to_minor
from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume


def graduated(tiers: Sequence[Tier], quantity: Decimal) -> tuple[TierPart, ...]:
    """The parts of every tier that is entered; the first is, even with no quantity at all."""
    parts = []
    bound = Decimal(0)
    for number, tier in enumerate(tiers, 1):
        if number > 1 and quantity <= bound:
            break
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        parts.append(_part(number, tier, EXACT.subtract(top, bound)))
        bound = quantity if tier.up_to is None else tier.up_to
    return tuple(parts)


def volume(tiers: Sequence[Tier], quantity: Decimal) -> tuple[TierPart, ...]:
    """The one tier that holds the quantity, for all of it."""
    for number, tier in enumerate(tiers, 1):
        if tier.up_to is None or quantity <= tier.up_to:
            return (_part(number, tier, quantity),)
    raise ValueError("the last tier of a price is open")


def tiers_total(parts: Sequence[TierPart]) -> Decimal:
    amount = Decimal(0)
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


_ZERO = Decimal(0)


class RatedQuantity(msgspec.Struct, frozen=True, kw_only=True):
    """What a quantity costs, before the charge's minimum and maximum. Amounts without a word on it are minor units."""

    quantity: Decimal
    """As it was measured."""
    billed_quantity: Decimal
    """What is left of it after the usage discount; never below zero."""
    amount_exact: Decimal
    """In major units, before it was rounded to `gross`."""
    gross: int
    percent_discount: int
    amount: int
    tiers: tuple[TierPart, ...] = ()
    packages: int | None = None


class LimitAdjustments(msgspec.Struct, frozen=True, kw_only=True):
    """What minimum and maximum make of a charge; never both."""

    true_up: int
    """Added to reach the minimum."""
    cut: int
    """Taken off to stay within the maximum."""


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """A charge of one quantity, whole."""

    rated: RatedQuantity
    limits: LimitAdjustments

    @property
    def amount(self) -> int:
        return self.rated.amount + self.limits.true_up - self.limits.cut


def price_quantity(
    price: Price, quantity: Decimal, currency: str, portion: Portion = WHOLE, *, settle: bool = True
) -> Priced:
    """The whole pipeline. A period that is billed in parts settles its minimum only with the last of them."""
    rated = rate(price, quantity, currency, portion)
    return Priced(rated=rated, limits=limits_of(price, rated.amount, currency, portion, settle=settle))


def bill_now(now: Priced, before: Priced | None) -> int:
    """What is still to be billed of a period's total; below zero is a credit.

    Both totals are rounded before they are subtracted, so the parts add up to the whole to the cent.
    """
    return now.amount - (0 if before is None else before.amount)


def rate(price: Price, quantity: Decimal, currency: str, portion: Portion = WHOLE) -> RatedQuantity:
    """Usage discount, model, rounding, percentage discount. Only a flat amount depends on the portion of the period."""
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


def limits_of(
    price: Price, amount: int, currency: str, portion: Portion = WHOLE, *, settle: bool = True
) -> LimitAdjustments:
    """`amount` held against minimum and maximum. The minimum is owed for the days of service, the maximum is whole."""
    true_up = cut = 0
    if price.minimum is not None and settle:
        true_up = max(0, prorated_to_minor(price.minimum, currency, portion) - amount)
    if price.maximum is not None:
        cut = max(0, amount - to_minor(price.maximum, currency))
    return LimitAdjustments(true_up=true_up, cut=cut)


def _packages(price: Package, quantity: Decimal) -> int:
    """How many are begun once the free units are used up."""
    whole, rest = EXACT.divmod(max(_ZERO, EXACT.subtract(quantity, price.free_units)), price.package_size)
    return int(whole) + (1 if rest else 0)
