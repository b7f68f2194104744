"""Tax: rates, and what an invoice owes by each of them."""

from decimal import Decimal

import msgspec


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """One tax: two of the same percentage are two when their names differ."""

    name: str
    percent: Decimal
    """8.25 for 8.25 %."""


class TaxAmount(msgspec.Struct, frozen=True, kw_only=True):
    """One rate over the lines that bear it."""

    rate: TaxRate
    base: int
    amount: int
