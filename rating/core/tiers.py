"""Tiers: a quantity split over them, or placed in one of them, with every part's exact amount."""

from collections.abc import Sequence
from decimal import Decimal

from schemas.draft_lines import TierPart
from schemas.money import EXACT
from schemas.price import Tier


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
