"""An invoice's totals: lines, discounts, tax. Whole minor units that add up on paper."""

from collections.abc import Sequence

from rating.core.allocate import allocate
from rating.core.tax import tax
from schemas.draft_lines import Totals
from schemas.tax import TaxRate

Rates = tuple[TaxRate, ...]


def totals_of(
    amounts: Sequence[int], rates: Sequence[Rates], *, discounts: Sequence[int] = (), credits_before_tax: int = 0
) -> Totals:
    """Totals of lines with these amounts and tax rates.

    Discounts are taken in their order, each from what the ones before it left, and spread over the lines by what is
    left of them; the credits come after. What is more than is left is not taken.
    """
    discounted = list(amounts)
    for discount in discounts:
        discounted = _reduced(discounted, discount)
    taxed = _reduced(discounted, credits_before_tax)
    taxes = tax(taxed, rates)
    return Totals(
        subtotal=sum(amounts),
        discount=sum(amounts) - sum(discounted),
        credits=sum(discounted) - sum(taxed),
        taxable=sum(taxed),
        tax=taxes.total,
        total=sum(taxed) + taxes.total,
        taxes=taxes.by_rate,
        discount_by_line=tuple(before - after for before, after in zip(amounts, discounted, strict=True)),
        credits_by_line=tuple(before - after for before, after in zip(discounted, taxed, strict=True)),
        tax_by_line=taxes.by_line,
    )


def _reduced(amounts: Sequence[int], by: int) -> list[int]:
    """Only lines above zero are reduced, and none of them below it."""
    if by < 0:
        raise ValueError(f"a discount or credit takes off, so it is not below zero: {by}")
    taken = min(by, max(0, sum(amounts)))
    shares = allocate(taken, [max(0, amount) for amount in amounts])
    return [amount - share for amount, share in zip(amounts, shares, strict=True)]
