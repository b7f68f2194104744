"""Tax rates: what an invoice adds to its lines."""

from decimal import Decimal

import msgspec


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """One tax: two of the same percentage are two when their names differ."""

    name: str
    percent: Decimal
    """8.25 for 8.25 %."""
