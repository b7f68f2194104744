"""Tax: rates, and what an invoice owes by each of them."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.field_types import Name


class TaxRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tax; several on a line add, they do not compound. Names tell two of the same percentage apart."""

    name: Name
    percent: Annotated[Decimal, Meta(description="From 0 to 100, with up to 6 decimal places, as a string.")]


class TaxAmount(msgspec.Struct, frozen=True, kw_only=True):
    """One rate over the lines that bear it."""

    rate: TaxRate
    base: int
    amount: int
