"""Tax: rates, and the tax of an invoice by rate."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.field_types import Name


class TaxRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tax. Several rates on a line add and do not compound; the name distinguishes two of the same percentage."""

    name: Name
    percent: Annotated[Decimal, Meta(description="From 0 to 100, with up to 6 decimal places, as a string.")]


class TaxAmount(msgspec.Struct, frozen=True, kw_only=True):
    """The tax of one rate over the lines it applies to, in minor units."""

    rate: TaxRate
    base: int
    amount: int
