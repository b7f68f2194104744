"""Invoice totals: lines, discounts and tax in whole minor units, rounded by largest remainder so that they add up."""

from collections.abc import Sequence
from typing import assert_never

import msgspec
from msgspec.structs import replace

from schemas.invoice import Discount, FixedDiscount, Invoice, InvoiceLine, InvoiceTax, PercentDiscount, TaxRates
from schemas.money import checked_minor, percent_of
from schemas.tax import TaxAmount, TaxRate


def allocate(whole: int, weights: Sequence[int]) -> tuple[int, ...]:
    """`whole` spread over weights of at least zero: 100 over 7, 11, 13 is 23, 35, 42."""
    together = sum(weights)
    if whole == 0 or together == 0:
        if whole:
            raise ValueError(f"{whole} cannot be spread over lines that weigh nothing")
        return (0,) * len(weights)
    return largest_remainder(whole, [whole * weight for weight in weights], together)


def largest_remainder(whole: int, numerators: Sequence[int], denominator: int) -> tuple[int, ...]:
    """Exact shares (`numerator ÷ denominator`, of either sign) rounded so that they add up to `whole`.

    Each share gets its floor; the remaining units go one by one to the largest remainders, ties by position. `whole`
    must be one of the two whole numbers around the exact sum: then no share moves by a unit or more.
    """
    shares = [numerator // denominator for numerator in numerators]
    remainders = [numerator % denominator for numerator in numerators]
    left = whole - sum(shares)
    if not 0 <= left <= sum(remainder > 0 for remainder in remainders):
        raise ValueError(f"shares of {sum(numerators)}/{denominator} cannot add up to {whole}")
    for place in sorted(range(len(shares)), key=lambda place: -remainders[place])[:left]:
        shares[place] += 1
    return tuple(shares)


class Taxes(msgspec.Struct, frozen=True, kw_only=True):
    """The tax of an invoice: by rate, as it is owed, and by line, as it is shown. Both have the same sum."""

    by_rate: tuple[TaxAmount, ...]
    by_line: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(tax.amount for tax in self.by_rate)


def tax(amounts: Sequence[int], rates: Sequence[tuple[TaxRate, ...]]) -> Taxes:
    """The tax on each line's amount after discounts; several rates on one line add, they do not compound."""
    distinct = dict.fromkeys(rate for of_line in rates for rate in of_line)
    by_line = [0] * len(amounts)
    by_rate = []
    for rate in distinct:
        bases = [amount if rate in of_line else 0 for amount, of_line in zip(amounts, rates, strict=True)]
        owed = percent_of(sum(bases), rate.percent)
        by_rate.append(TaxAmount(rate=rate, base=sum(bases), amount=owed))
        for place, share in enumerate(_shown(owed, bases, rate)):
            by_line[place] += share
    return Taxes(by_rate=tuple(by_rate), by_line=tuple(by_line))


def _shown(owed: int, bases: Sequence[int], rate: TaxRate) -> tuple[int, ...]:
    above, below = rate.percent.as_integer_ratio()
    return largest_remainder(owed, [base * above for base in bases], below * 100)


Rates = tuple[TaxRate, ...]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """`subtotal − discount + tax = total`; the parts by line are in the order of the lines."""

    subtotal: int
    discount: int
    tax: int
    total: int
    """Below zero if credit lines exceed the others."""
    taxes: tuple[TaxAmount, ...]
    discount_by_line: tuple[int, ...]
    tax_by_line: tuple[int, ...]


def totals_of(amounts: Sequence[int], rates: Sequence[Rates], discount: int = 0) -> Totals:
    """Totals of lines with these amounts and tax rates.

    The discount is spread over the lines above zero by their amounts, and is never more than the subtotal.
    """
    taxed = _reduced(amounts, discount)
    taxes = tax(taxed, rates)
    return Totals(
        subtotal=sum(amounts),
        discount=sum(amounts) - sum(taxed),
        tax=taxes.total,
        total=sum(taxed) + taxes.total,
        taxes=taxes.by_rate,
        discount_by_line=tuple(before - after for before, after in zip(amounts, taxed, strict=True)),
        tax_by_line=taxes.by_line,
    )


def _reduced(amounts: Sequence[int], discount: int) -> list[int]:
    """The amounts less the discount: only amounts above zero are reduced, and none to below it."""
    if discount < 0:
        raise ValueError(f"a discount takes off, so it is not below zero: {discount}")
    taken = min(discount, max(0, sum(amounts)))
    shares = allocate(taken, [max(0, amount) for amount in amounts])
    return [amount - share for amount, share in zip(amounts, shares, strict=True)]


def totaled(draft: Invoice, customers_rates: TaxRates) -> Invoice:
    """The draft with its totals, and with the amount, discount and tax of each line. Raises Invalid."""
    rates = [line.own_tax_rates if line.own_tax_rates is not None else customers_rates for line in draft.lines]
    amounts = [checked_minor(line.quantity * line.unit_amount) for line in draft.lines]
    totals = totals_of(amounts, rates, _taken_off(draft.discount_asked, checked_minor(sum(amounts))))
    checked_minor(totals.total)
    return replace(
        draft,
        subtotal=totals.subtotal,
        discount=totals.discount,
        tax=totals.tax,
        total=totals.total,
        taxes=_taxes(totals),
        lines=tuple(
            replace(line, amount=amount, tax_rates=of_line, discount=discount, tax=tax)
            for line, amount, of_line, discount, tax in zip(
                draft.lines, amounts, rates, totals.discount_by_line, totals.tax_by_line, strict=True
            )
        ),
    )


def taxable(line: InvoiceLine) -> int:
    """The amount that the line's tax is calculated on."""
    return line.amount - line.discount


def _taken_off(discount: Discount | None, subtotal: int) -> int:
    match discount:
        case None:
            return 0
        case PercentDiscount():
            return percent_of(max(0, subtotal), discount.percent)
        case FixedDiscount():
            return discount.amount_cents
        case _:
            assert_never(discount)


def _taxes(totals: Totals) -> tuple[InvoiceTax, ...]:
    return tuple(
        InvoiceTax(name=tax.rate.name, percent=tax.rate.percent, base=tax.base, amount=tax.amount)
        for tax in totals.taxes
    )
