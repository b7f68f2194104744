"""Amounts are rounded to minor units once, ties away from zero."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Invalid
from schemas.money import CURRENCIES, exponent, percent_of, rounded_share, to_major, to_minor

amounts = st.decimals(-(10**15), 10**15, places=12, allow_nan=False)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.125", "USD", 13),
        ("-0.125", "USD", -13),
        ("2.5", "JPY", 3),
        ("-2.5", "JPY", -3),
        ("1.0005", "KWD", 1001),
        ("0.00005", "CLF", 1),
        ("0.0049999999", "EUR", 0),
        ("999999999999999.995", "USD", 10**17),
    ],
)
def test_ties_move_away_from_zero(amount: str, currency: str, minor: int) -> None:
    """Also for negative amounts, at the decimal places of each currency."""
    assert to_minor(Decimal(amount), currency) == minor


def test_each_currency_has_its_own_decimals() -> None:
    """The factor is not always a hundred."""
    assert [exponent(code) for code in ("USD", "JPY", "KWD", "CLF", "ISK", "UGX", "MGA")] == [2, 0, 3, 4, 0, 0, 2]
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)


@pytest.mark.parametrize("currency", ["usd", "", "XXX", "DEM", "CREDITS"])
def test_an_unknown_currency_is_refused(currency: str) -> None:
    """The message says what to give instead."""
    with pytest.raises(Invalid, match="three capital letters"):
        exponent(currency)


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.sampled_from(sorted(CURRENCIES)))
def test_minor_units_convert_to_major_units_and_back(minor: int, currency: str) -> None:
    """Both are the same amount, to the last digit."""
    assert to_minor(to_major(minor, currency), currency) == minor


@given(amounts, st.sampled_from(("JPY", "USD", "KWD")))
def test_rounding_moves_an_amount_by_half_a_unit_at_most(amount: Decimal, currency: str) -> None:
    """By exactly half only away from zero."""
    exact = Fraction(amount) * 10 ** exponent(currency)
    moved = to_minor(amount, currency) - exact
    assert abs(moved) < Fraction(1, 2) or moved == (Fraction(1, 2) if amount > 0 else Fraction(-1, 2))


@given(amounts, st.integers(0, 400), st.integers(1, 400))
def test_a_share_is_divided_and_rounded_once(amount: Decimal, numerator: int, denominator: int) -> None:
    """The nearest whole number to the exact fraction."""
    exact = Fraction(amount) * numerator / denominator
    assert abs(rounded_share(amount, numerator, denominator) - exact) <= Fraction(1, 2)


def test_a_percentage_is_rounded_once() -> None:
    """12.5 % of 84.94."""
    assert percent_of(8494, Decimal("12.5")) == 1062


def test_an_amount_that_no_ledger_holds_is_refused() -> None:
    """No invoice is better than a wrong one."""
    with pytest.raises(Invalid, match="more than a ledger holds"):
        to_minor(Decimal(10) ** 17, "USD")
