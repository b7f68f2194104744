"""Prices: tiers, packages, flat and per-unit, adjusted in their order, exact to the last digit, rounded once."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.pricing import bill_now, graduated, price_quantity, tiers_total, volume
from rating.core.proration import Portion
from schemas.money import exponent
from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume
from tests.rating.core.strategies import USD, amounts, prices, quantities, tiers, unit_prices

THREE = (
    Tier(up_to=Decimal(40), unit_price=Decimal("0.90"), flat_fee=Decimal(3)),
    Tier(up_to=Decimal(160), unit_price=Decimal("0.70"), flat_fee=Decimal(2)),
    Tier(unit_price=Decimal("0.45")),
)


@pytest.mark.parametrize(
    ("quantity", "of_graduated", "of_volume"),
    [
        ("-5", 300, 300),
        ("0", 300, 300),
        ("40", 3900, 3900),
        ("40.001", 4100, 3000),
        ("40.5", 4135, 3035),
        ("160", 12500, 11400),
        ("200", 14300, 9000),
    ],
)
def test_three_tiers(quantity: str, of_graduated: int, of_volume: int) -> None:
    """A bound belongs to the tier below it; the first fee is owed for nothing too."""
    assert price_quantity(Graduated(tiers=THREE), Decimal(quantity), USD).amount == of_graduated
    assert price_quantity(Volume(tiers=THREE), Decimal(quantity), USD).amount == of_volume


def test_tiers_are_not_rounded_one_by_one() -> None:
    """1.005 and 2.005 are 3.01."""
    two = (Tier(up_to=Decimal(1), unit_price=Decimal("1.005")), Tier(unit_price=Decimal("2.005")))
    priced = price_quantity(Graduated(tiers=two), Decimal(2), USD)
    assert priced.amount == 301
    assert [part.amount for part in priced.rated.tiers] == [Decimal("1.005"), Decimal("2.005")]


def walked(drawn: tuple[Tier, ...], halves: int) -> Decimal:
    """The graduated amount of so many half units, by taking them one at a time."""
    amount = drawn[0].flat_fee
    entered = 0
    for taken in range(1, halves + 1):
        upto = Decimal(taken) / 2
        tier = next(place for place, tier in enumerate(drawn) if tier.up_to is None or upto <= tier.up_to)
        amount += sum((drawn[place].flat_fee for place in range(entered + 1, tier + 1)), Decimal(0))
        amount += drawn[tier].unit_price / 2
        entered = tier
    return amount


@given(tiers(), st.integers(0, 30))
def test_graduated_is_what_walking_unit_by_unit_costs(drawn: tuple[Tier, ...], halves: int) -> None:
    """An oracle that knows no tiers' parts."""
    assert tiers_total(graduated(drawn, Decimal(halves) / 2)) == walked(drawn, halves)


@given(tiers(), quantities)
def test_the_parts_hold_the_whole_quantity(drawn: tuple[Tier, ...], quantity: Decimal) -> None:
    """No unit is lost between tiers, and none is in two."""
    assert sum(part.quantity for part in graduated(drawn, quantity)) == quantity
    assert [part.quantity for part in volume(drawn, quantity)] == [quantity]


@given(tiers(fees=False), quantities, quantities)
def test_graduated_without_fees_never_falls(drawn: tuple[Tier, ...], one: Decimal, other: Decimal) -> None:
    """And never jumps: a little more costs at most that much at the dearest price."""
    less, more = sorted((one, other))
    dearest = max(tier.unit_price for tier in drawn)
    grown = tiers_total(graduated(drawn, more)) - tiers_total(graduated(drawn, less))
    assert 0 <= grown <= (more - less) * dearest


@given(unit_prices, quantities)
def test_one_tier_is_per_unit(price: Decimal, quantity: Decimal) -> None:
    """The plainest graduated price."""
    one = (Tier(unit_price=price),)
    plain = price_quantity(PerUnit(unit_price=price), quantity, USD).amount
    assert price_quantity(Graduated(tiers=one), quantity, USD).amount == plain
    assert price_quantity(Volume(tiers=one), quantity, USD).amount == plain


@given(tiers(), st.data())
def test_both_agree_up_to_the_first_bound(drawn: tuple[Tier, ...], data: st.DataObject) -> None:
    """They differ only in what happens above it."""
    quantity = data.draw(quantities.filter(lambda drawn_one: drawn[0].up_to is None or drawn_one <= drawn[0].up_to))
    assert graduated(drawn, quantity) == volume(drawn, quantity)


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
