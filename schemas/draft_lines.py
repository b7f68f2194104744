"""Draft lines of an invoice, with the exact decimals behind them."""

from decimal import Decimal

import msgspec

from schemas.price import Price
from schemas.timestamps import Micros


class TierPart(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an amount that one tier adds, not rounded."""

    tier: int
    """Counted from 1."""
    quantity: Decimal
    unit_price: Decimal
    flat_fee: Decimal
    amount: Decimal


class UsageDetail(msgspec.Struct, frozen=True, kw_only=True):
    """The exact decimals behind a usage line."""

    price: str
    meter: str
    group: dict[str, str | None]
    terms: Price
    quantity: Decimal
    billed_quantity: Decimal
    amount_exact: Decimal
    """In major units, before discount, maximum and rounding."""
    gross: int
    percent_discount: int
    cut: int
    packages: int | None
    tiers: tuple[TierPart, ...]
    rated_before: Decimal | None = None
    """On a line for late usage: the quantity already billed."""
    cut_before: int = 0
    """On a line for late usage: how much the maximum has taken off the amount already billed, in minor units."""


class DraftLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line without an id. Amounts are minor units, and `quantity × unit_amount = amount`."""

    reference: str
    """Unique in its invoice, and the same each time the period is rated."""
    description: str
    quantity: int
    unit_amount: int
    amount: int
    period_start: Micros
    period_end: Micros
    usage: UsageDetail | None = None
