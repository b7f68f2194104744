"""Totals: the discount is spread, tax is rounded once per rate, and everything adds up in whole minor units."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.core.balance import movements
from rating.core.totals import Rates, allocate, largest_remainder, tax, totaled, totals_of
from schemas.invoice import InvoiceLine
from schemas.money import percent_of
from schemas.tax import TaxRate
from tests.rating.core.records import PLAIN

REDUCED = TaxRate(name="VAT", percent=Decimal(8))
FULL = TaxRate(name="VAT", percent=Decimal(21))
CITY = TaxRate(name="City", percent=Decimal("8.25"))

amounts = st.lists(st.integers(-500, 5000), max_size=8)
rates = st.lists(st.sampled_from((REDUCED, FULL, CITY)), max_size=3).map(tuple)


def test_largest_remainders_get_the_remaining_units() -> None:
    """100 cents over 7, 11, 13."""
    assert allocate(100, [7, 11, 13]) == (23, 35, 42)
    assert allocate(2, [1, 1, 1]) == (1, 1, 0)
    assert allocate(0, []) == allocate(0, [0])[1:] == ()


def test_an_amount_cannot_be_spread_over_zero_weights() -> None:
    """Nor can shares add up to a sum that they are not near."""
    with pytest.raises(ValueError, match="weigh nothing"):
        allocate(1, [0, 0])
    with pytest.raises(ValueError, match="cannot add up"):
        largest_remainder(5, [1, 1], 2)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1).filter(any))
def test_parts_sum_to_the_whole(whole: int, weights: list[int]) -> None:
    """Each within one minor unit of its exact share, none below zero, none above its line."""
    parts = allocate(whole, weights)
    assert sum(parts) == whole
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(whole * weight, sum(weights))) < 1
        assert part >= 0
        assert part <= weight or whole > sum(weights)


def test_an_invoice_with_a_coupon_and_two_rates() -> None:
    """61.20 at 8 % and 18.80 at 21 %, 15 % off."""
    totals = totals_of((6120, 1880), ((REDUCED,), (FULL,)), percent_of(8000, Decimal(15)))
    assert (totals.subtotal, totals.discount, totals.total - totals.tax) == (8000, 1200, 6800)
    assert totals.discount_by_line == (918, 282)
    assert [(one.base, one.amount) for one in totals.taxes] == [(5202, 416), (1598, 336)]
    assert (totals.tax, totals.total) == (752, 7552)


def test_a_larger_discount_lowers_the_tax_base() -> None:
    """The same invoice with another 10.00 off."""
    totals = totals_of((6120, 1880), ((REDUCED,), (FULL,)), 2200)
    assert [(one.base, one.amount) for one in totals.taxes] == [(4437, 355), (1363, 286)]
    assert (totals.discount, totals.total - totals.tax, totals.tax, totals.total) == (2200, 5800, 641, 6441)


def test_tax_is_rounded_once_per_rate() -> None:
    """Three lines of 0.10 at 8.25 % owe 2 cents, not three times 1; each cent is shown on some line."""
    taxes = tax((10, 10, 10), ((CITY,), (CITY,), (CITY,)))
    assert (taxes.total, taxes.by_line) == (2, (1, 1, 0))


def test_rates_on_one_line_add() -> None:
    """They do not compound; a line without a rate owes nothing."""
    taxes = tax((10_000, 10_000), ((REDUCED, CITY), ()))
    assert (taxes.total, taxes.by_line) == (1625, (1625, 0))


def test_a_total_below_zero_goes_to_the_balance() -> None:
    """An invoice is never due less than nothing."""
    totals = totals_of((-1000, 400), ((REDUCED,), (REDUCED,)), 50)
    assert (totals.subtotal, totals.discount, totals.tax, totals.total) == (-600, 0, -48, -648)
    invoice = totaled(replace(PLAIN, lines=(line(0, -1000), line(1, 400))), (REDUCED,))
    assert (invoice.total, invoice.due, movements([invoice], {})) == (-648, 0, [648])


def line(position: int, amount: int) -> InvoiceLine:
    """A line of one unit, taxed at its customer's rates."""
    return InvoiceLine(
        id=f"line {position}",
        position=position,
        reference=None,
        description=None,
        quantity=1,
        unit_amount=amount,
        own_tax_rates=None,
        usage=None,
        period_start=None,
        period_end=None,
        created_at=0,
        updated_at=0,
    )


def test_a_discount_below_zero_is_refused() -> None:
    """It would be a charge without a line."""
    with pytest.raises(ValueError, match="takes off"):
        totals_of((100,), ((),), -1)


@given(amounts, st.data(), st.integers(0, 12_000))
def test_invoices_add_up(lines: list[int], data: st.DataObject, discount: int) -> None:
    """Lines to the subtotal, tax by rate and by line to the tax, and both less the discount to the total."""
    of_lines: list[Rates] = [data.draw(rates) for _ in lines]
    totals = totals_of(lines, of_lines, discount)
    assert sum(lines) == totals.subtotal
    assert totals.subtotal - totals.discount + totals.tax == totals.total
    assert sum(one.amount for one in totals.taxes) == sum(totals.tax_by_line) == totals.tax
    assert sum(totals.discount_by_line) == totals.discount <= max(0, totals.subtotal)
    assert totals.discount == min(discount, max(0, totals.subtotal))
    for amount, off in zip(lines, totals.discount_by_line, strict=True):
        assert 0 <= off <= max(0, amount)


@given(amounts, st.data())
def test_a_rates_tax_is_its_base_times_its_percentage(lines: list[int], data: st.DataObject) -> None:
    """To the nearest minor unit; each line's share is less than a unit off its own tax."""
    of_lines: list[Rates] = [data.draw(rates) for _ in lines]
    taxes = tax(lines, of_lines)
    for one in taxes.by_rate:
        assert abs(one.amount - one.base * Fraction(one.rate.percent) / 100) <= Fraction(1, 2)
    for amount, of_line, shown in zip(lines, of_lines, taxes.by_line, strict=True):
        exact = sum((amount * Fraction(rate.percent) / 100 for rate in set(of_line)), Fraction(0))
        assert abs(shown - exact) < max(1, len(of_line))
