"""Draft lines of an invoice, with the exact decimals behind them."""

from decimal import Decimal

import msgspec

from schemas.price import Price
from schemas.timestamps import Micros


class TierPart(msgspec.Struct, frozen=True, kw_only=True):
    """What one tier adds to an amount, before any rounding."""

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
    """On a line for what came late: the quantity that is billed already."""
    cut_before: int = 0
    """What the maximum took off its amount."""


class DraftLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that has no id yet. Amounts are minor units, and `quantity × unit_amount = amount`."""

    reference: str
    """Unique in its invoice, and the same however often the period is rated."""
    description: str
    quantity: int
    unit_amount: int
    amount: int
    period_start: Micros
    period_end: Micros
    usage: UsageDetail | None = None
