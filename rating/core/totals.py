"""A draft's figures: reckoned anew from its lines, its discount and its customer's tax rates at every change."""

from typing import assert_never

from msgspec.structs import replace

from rating.core.assemble import totals_of
from schemas.draft_lines import Totals
from schemas.invoice import Discount, FixedDiscount, Invoice, InvoiceLine, InvoiceTax, PercentDiscount, TaxRates
from schemas.money import checked_minor, percent_of


def totaled(draft: Invoice, customers_rates: TaxRates) -> Invoice:
    """The draft with totals, and with each line's amount and its shares of discount and tax."""
    rates = [line.own_tax_rates if line.own_tax_rates is not None else customers_rates for line in draft.lines]
    amounts = [checked_minor(line.quantity * line.unit_amount) for line in draft.lines]
    asked = _taken_off(draft.discount_asked, checked_minor(sum(amounts)))
    totals = totals_of(amounts, rates, discounts=[asked])
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
    """What a line is taxed on."""
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
