"""The line pipeline: each step in its order, exact to the last digit, rounded once."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.pricing import bill_now, price_quantity
from rating.core.proration import Portion
from schemas.money import exponent
from schemas.price import Flat, Graduated, Package, PerUnit, Price
from tests.rating.core.strategies import USD, amounts, prices, quantities, unit_prices
from tests.rating.core.test_tiers import THREE

D = Decimal
PACKAGE = Package(package_size=D(250), package_price=D(4), free_units=D(30))


@pytest.mark.parametrize(("quantity", "amount"), [("0", 0), ("30", 0), ("31", 400), ("280", 400), ("280.01", 800)])
def test_a_package_that_is_begun_is_paid(quantity: str, amount: int) -> None:
    """Free units come off first; no usage is no package."""
    assert price_quantity(PACKAGE, D(quantity), USD).amount == amount


def test_every_step_of_a_line() -> None:
    """137 × 0.62, 12.5 % off, lifted to 90."""
    price = PerUnit(unit_price=D("0.62"), percent_discount=D("12.5"), minimum=D(90))
    priced = price_quantity(price, D(137), USD)
    assert priced.rated.amount_exact == D("84.94")
    assert (priced.rated.gross, priced.rated.percent_discount, priced.rated.amount) == (8494, 1062, 7432)
    assert (priced.limits.true_up, priced.limits.cut, priced.amount) == (1568, 0, 9000)


@pytest.mark.parametrize(
    ("price", "quantity", "amount"),
    [
        (PerUnit(unit_price=D(1), minimum=D(5)), "0", 500),
        (PerUnit(unit_price=D(1), maximum=D(5)), "7", 500),
        (PerUnit(unit_price=D(1), usage_discount=D(10)), "7", 0),
        (Graduated(tiers=THREE, usage_discount=D("0.5")), "40.5", 3900),
        (Graduated(tiers=THREE, usage_discount=D(50)), "40.5", 300),
        (Flat(amount=D("9.90")), "0", 990),
        (Flat(amount=D("9.90"), percent_discount=D(50)), "12", 495),
        (PerUnit(unit_price=D(1)), "-3", 0),
    ],
)
def test_what_is_adjusted(price: Price, quantity: str, amount: int) -> None:
    """Discounted units are in no tier, a minimum is owed for nothing, a total below zero is none."""
    assert price_quantity(price, D(quantity), USD).amount == amount


def test_a_stub_pays_its_days_of_what_is_fixed() -> None:
    """Flat amounts and minimums are prorated; unit prices, tiers and the maximum are not."""
    days = Portion(days=20, period_days=30)
    assert price_quantity(Flat(amount=D(47)), D(0), USD, days).amount == 3133
    assert price_quantity(PerUnit(unit_price=D(1), minimum=D(47)), D(2), USD, days).amount == 3133
    assert price_quantity(PerUnit(unit_price=D(1), maximum=D(10)), D(12), USD, days).amount == 1000
    assert price_quantity(Graduated(tiers=THREE), D(40), USD, days).amount == 3900


@given(unit_prices, st.integers(0, 10**6))
def test_packages_of_one_are_units(price: Decimal, quantity: int) -> None:
    """Where the quantity is whole."""
    packaged = Package(package_size=D(1), package_price=price)
    assert price_quantity(packaged, D(quantity), USD).amount == (
        price_quantity(PerUnit(unit_price=price), D(quantity), USD).amount
    )


@given(st.sampled_from((D("0.5"), D(3), D("2.75"))), amounts, quantities, quantities)
def test_packages_are_steps(size: Decimal, price: Decimal, free: Decimal, quantity: Decimal) -> None:
    """Counted by fractions, which cannot round."""
    priced = price_quantity(Package(package_size=size, package_price=price, free_units=free), quantity, USD)
    packages = ceil(max(Fraction(0), Fraction(quantity) - Fraction(free)) / Fraction(size))
    assert priced.rated.packages == packages
    assert priced.amount == packages * price * 100


@given(prices(), quantities)
def test_a_charge_keeps_its_limits(price: Price, quantity: Decimal) -> None:
    """Whatever else is adjusted."""
    amount = price_quantity(price, quantity, USD).amount
    assert price.minimum is None or amount >= price.minimum * 100
    assert price.maximum is None or amount <= price.maximum * 100


@given(prices(), quantities)
def test_a_currency_changes_only_the_digits(price: Price, quantity: Decimal) -> None:
    """The amount before rounding is the same in yen, dollars and dinars."""
    rated = {code: price_quantity(price, quantity, code).rated for code in ("JPY", "USD", "KWD")}
    assert len({one.amount_exact for one in rated.values()}) == 1
    for code, one in rated.items():
        assert abs(one.gross - Fraction(one.amount_exact) * 10 ** exponent(code)) <= Fraction(1, 2)


def test_no_float_comes_near() -> None:
    """0.7 and 0.1 are 0.8, and whole numbers keep their last digit."""
    assert price_quantity(PerUnit(unit_price=D(1)), D("0.7") + D("0.1"), USD).rated.amount_exact == D("0.8")
    large = D(2**53 + 1)
    assert price_quantity(PerUnit(unit_price=D("0.01")), large, USD).amount == 2**53 + 1


@given(st.integers(1, 10**15), st.integers(1, 10**6))
def test_the_largest_quantity_at_the_smallest_price_is_exact(quantity: int, trillionths: int) -> None:
    """To the twelfth place."""
    price = PerUnit(unit_price=D(trillionths).scaleb(-12))
    exact = price_quantity(price, D(quantity) + D("0.000000000001"), USD).rated.amount_exact
    assert Fraction(exact) == (Fraction(quantity) + Fraction(1, 10**12)) * Fraction(trillionths, 10**12)


def test_what_was_billed_is_not_billed_again() -> None:
    """25 units, then 55, then a correction down to 30."""
    price = Graduated(tiers=THREE)
    first, second, third = (price_quantity(price, D(quantity), USD) for quantity in (25, 55, 30))
    assert [bill_now(first, None), bill_now(second, first), bill_now(third, second)] == [2550, 2600, -2150]


def test_a_minimum_is_settled_with_the_last_part() -> None:
    """Net of what was billed before; a maximum is held by every part."""
    lifted, held = PerUnit(unit_price=D(1), minimum=D(10)), PerUnit(unit_price=D(1), maximum=D(10))
    part, whole = price_quantity(lifted, D(3), USD, settle=False), price_quantity(lifted, D(7), USD)
    assert [bill_now(part, None), bill_now(whole, part)] == [300, 700]
    part, whole = price_quantity(held, D(8), USD, settle=False), price_quantity(held, D(13), USD)
    assert [bill_now(part, None), bill_now(whole, part)] == [800, 200]


@given(prices(), st.lists(quantities, min_size=1, max_size=5))
def test_the_parts_of_a_period_add_up_to_the_whole(price: Price, parts: list[Decimal]) -> None:
    """However it was split, with minimum and maximum, for every model."""
    billed, so_far, before = 0, D(0), None
    for place, part in enumerate(parts):
        so_far += part
        now = price_quantity(price, so_far, USD, settle=place == len(parts) - 1)
        billed += bill_now(now, before)
        before = now
    assert billed == price_quantity(price, so_far, USD).amount
