"""Prices: how one quantity becomes an amount. A union with one record per model, tagged by `model`."""

from decimal import Decimal

import msgspec

ZERO = Decimal(0)


class AdjustablePrice(msgspec.Struct, frozen=True, kw_only=True, tag_field="model"):
    """The adjustments that every model may have, in the order in which they apply.

    All money of a price is in major units (0.0025 is a quarter of a cent); in JSON all decimals are strings.
    """

    usage_discount: Decimal = ZERO
    """Free units: subtracted first, and part of no tier."""
    percent_discount: Decimal = ZERO
    minimum: Decimal | None = None
    """The least charge of a period, with or without usage."""
    maximum: Decimal | None = None


class Flat(AdjustablePrice, frozen=True, kw_only=True, tag="flat"):
    """One amount for the period, whatever the quantity."""

    amount: Decimal


class PerUnit(AdjustablePrice, frozen=True, kw_only=True, tag="per_unit"):
    """Every unit costs the same."""

    unit_price: Decimal


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """The quantities above the bound of the tier before, up to and including `up_to`."""

    up_to: Decimal | None = None
    """None in the last tier, and only in it."""
    unit_price: Decimal = ZERO
    flat_fee: Decimal = ZERO


class Graduated(AdjustablePrice, frozen=True, kw_only=True, tag="graduated"):
    """Each unit has the price of its own tier; every tier that is reached adds its flat fee."""

    tiers: tuple[Tier, ...]


class Volume(AdjustablePrice, frozen=True, kw_only=True, tag="volume"):
    """All units have the price of the tier that the whole quantity falls into."""

    tiers: tuple[Tier, ...]


class Package(AdjustablePrice, frozen=True, kw_only=True, tag="package"):
    """Units are sold in packages, and the last package is paid in full."""

    package_size: Decimal
    package_price: Decimal
    free_units: Decimal = ZERO


Price = Flat | PerUnit | Graduated | Volume | Package
