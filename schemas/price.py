"""Prices: how one quantity becomes an amount. A union with one record per model, told apart by `model`."""

from decimal import Decimal

import msgspec

ZERO = Decimal(0)


class AdjustablePrice(msgspec.Struct, frozen=True, kw_only=True, tag_field="model"):
    """What every model may carry besides its own fields, in the order in which it is applied.

    All money of a price is in major units (0.0025 is a quarter of a cent), all decimals travel as strings.
    """

    usage_discount: Decimal = ZERO
    """Units that cost nothing: they are taken off first, and are in no tier."""
    percent_discount: Decimal = ZERO
    minimum: Decimal | None = None
    """What the charge of a period comes to at least, with or without usage."""
    maximum: Decimal | None = None


class Flat(AdjustablePrice, frozen=True, kw_only=True, tag="flat"):
    """One amount for the period, whatever the quantity."""

    amount: Decimal


class PerUnit(AdjustablePrice, frozen=True, kw_only=True, tag="per_unit"):
    """Every unit costs the same."""

    unit_price: Decimal


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """From just above the bound of the tier before it up to `up_to`, which still belongs to it."""

    up_to: Decimal | None = None
    """None in the last tier, and only there."""
    unit_price: Decimal = ZERO
    flat_fee: Decimal = ZERO


class Graduated(AdjustablePrice, frozen=True, kw_only=True, tag="graduated"):
    """Each unit costs what its own tier asks; every tier that is entered adds its flat fee."""

    tiers: tuple[Tier, ...]


class Volume(AdjustablePrice, frozen=True, kw_only=True, tag="volume"):
    """All units cost what the tier of the whole quantity asks."""

    tiers: tuple[Tier, ...]


class Package(AdjustablePrice, frozen=True, kw_only=True, tag="package"):
    """Units are sold by the package, and a package that is begun is paid."""

    package_size: Decimal
    package_price: Decimal
    free_units: Decimal = ZERO


Price = Flat | PerUnit | Graduated | Volume | Package
