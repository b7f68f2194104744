"""Validation of prices beyond their types; all errors are reported together, each with its field."""

from collections.abc import Iterator
from decimal import Decimal
from typing import assert_never

from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume

MAX_DECIMAL_PLACES = 12
"""Decimal places of unit prices, amounts and bounds."""

LARGEST_UNIT_PRICE = Decimal(10) ** 9
LARGEST_AMOUNT = Decimal(10) ** 15
LARGEST_BOUND = Decimal(10) ** 26
MAX_TIERS = 100

FieldError = tuple[str, str]
"""A field (`tiers[2].up_to`) and what is wrong with it."""


def check_price(price: Price) -> list[FieldError]:
    """The errors of `price`; empty if it can be used."""
    return [*_model_errors(price), *_adjustment_errors(price)]


def _model_errors(price: Price) -> Iterator[FieldError]:
    match price:
        case Flat():
            yield from _number("amount", price.amount, LARGEST_AMOUNT)
        case PerUnit():
            yield from _number("unit_price", price.unit_price, LARGEST_UNIT_PRICE)
        case Graduated() | Volume():
            yield from _tier_errors(price.tiers)
        case Package():
            yield from _number("package_size", price.package_size, LARGEST_BOUND)
            if price.package_size == 0:
                yield "package_size", "must be above zero"
            yield from _number("package_price", price.package_price, LARGEST_UNIT_PRICE)
            yield from _number("free_units", price.free_units, LARGEST_BOUND)
        case _:
            assert_never(price)


def _adjustment_errors(price: Price) -> Iterator[FieldError]:
    yield from _number("usage_discount", price.usage_discount, LARGEST_BOUND)
    yield from _number("percent_discount", price.percent_discount, LARGEST_AMOUNT)
    if price.percent_discount.is_finite() and price.percent_discount > 100:
        yield "percent_discount", "must be at most 100: it is a percentage of the line"
    for field, limit in (("minimum", price.minimum), ("maximum", price.maximum)):
        if limit is not None:
            yield from _number(field, limit, LARGEST_AMOUNT)
    if _above(price.minimum, price.maximum):
        yield "minimum", f"is above the maximum ({price.maximum:f}): no amount could meet both"


def _tier_errors(tiers: tuple[Tier, ...]) -> Iterator[FieldError]:
    if not tiers:
        yield "tiers", "must hold at least one tier, the last with up_to null"
    if len(tiers) > MAX_TIERS:
        yield "tiers", f"may hold at most {MAX_TIERS} tiers"
    before: Decimal | None = Decimal(0)
    for place, tier in enumerate(tiers):
        field = f"tiers[{place}]"
        yield from _number(f"{field}.unit_price", tier.unit_price, LARGEST_UNIT_PRICE)
        yield from _number(f"{field}.flat_fee", tier.flat_fee, LARGEST_AMOUNT)
        yield from _bound_errors(f"{field}.up_to", tier.up_to, before, last=place == len(tiers) - 1)
        before = tier.up_to


def _bound_errors(field: str, up_to: Decimal | None, before: Decimal | None, *, last: bool) -> Iterator[FieldError]:
    if up_to is None:
        if not last:
            yield field, "may be null only in the last tier: nothing would ever reach the tiers after it"
        return
    if last:
        yield field, "must be null in the last tier, so that every quantity has a price"
    yield from _number(field, up_to, LARGEST_BOUND)
    if before is not None and before.is_finite() and up_to.is_finite() and up_to <= before:
        yield field, f"must be above the bound before it ({before:f})"


def _number(field: str, value: Decimal, largest: Decimal) -> Iterator[FieldError]:
    """An error unless `value` is a number from 0 to below `largest` with at most MAX_DECIMAL_PLACES."""
    if not value.is_finite():
        yield field, "must be a number"
    elif value < 0:
        yield field, "must not be negative"
    elif value >= largest:
        yield field, f"must be below {largest:f}"
    elif _places(value) > MAX_DECIMAL_PLACES:
        yield field, f"may have at most {MAX_DECIMAL_PLACES} decimal places"


def _places(value: Decimal) -> int:
    """Decimal places without trailing zeros: 1.500 has one."""
    _, digits, exponent = value.as_tuple()
    zeros = next((place for place, digit in enumerate(reversed(digits)) if digit), len(digits))
    return max(-exponent - zeros, 0) if isinstance(exponent, int) else 0


def _above(low: Decimal | None, high: Decimal | None) -> bool:
    return low is not None and high is not None and low.is_finite() and high.is_finite() and low > high
