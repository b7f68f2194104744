"""Prices: tiers, packages, flat and per-unit, adjusted in order, exact to the last digit, rounded once."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.pricing import Charge, charge, graduated, rate, tiers_total, volume
from rating.core.proration import WHOLE, Portion
from schemas.money import exponent
from schemas.plan import UsagePrice
from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume
from tests.rating.core.records import amount_of
from tests.rating.core.strategies import USD, amounts, prices, quantities, tiers, unit_prices

THREE = (
    Tier(up_to=Decimal(40), unit_price=Decimal("0.90"), flat_fee=Decimal(3)),
    Tier(up_to=Decimal(160), unit_price=Decimal("0.70"), flat_fee=Decimal(2)),
    Tier(unit_price=Decimal("0.45")),
)


def charged(price: Price, quantity: Decimal, currency: str = USD, portion: Portion = WHOLE) -> Charge:
    """The charge of one price without groups."""
    usage = UsagePrice(code="calls", name="Calls", meter="calls", price=price)
    return charge(usage, {(): quantity}, currency, portion)


def cents(price: Price, quantity: Decimal, portion: Portion = WHOLE) -> int:
    return amount_of(charged(price, quantity, portion=portion))


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
    """A bound belongs to the tier below it; the first tier's fee is owed without usage too."""
    assert cents(Graduated(tiers=THREE), Decimal(quantity)) == of_graduated
    assert cents(Volume(tiers=THREE), Decimal(quantity)) == of_volume


def test_tiers_are_not_rounded_one_by_one() -> None:
    """1.005 and 2.005 are 3.01."""
    two = (Tier(up_to=Decimal(1), unit_price=Decimal("1.005")), Tier(unit_price=Decimal("2.005")))
    assert cents(Graduated(tiers=two), Decimal(2)) == 301
    assert [part.amount for part in rate(Graduated(tiers=two), Decimal(2), USD).tiers] == [
        Decimal("1.005"),
        Decimal("2.005"),
    ]


def walked(drawn: tuple[Tier, ...], halves: int) -> Decimal:
    """The graduated amount of `halves` half units, taken one at a time."""
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
    """An oracle that does not split the quantity by tiers."""
    assert tiers_total(graduated(drawn, Decimal(halves) / 2)) == walked(drawn, halves)


@given(tiers(), quantities)
def test_the_parts_hold_the_whole_quantity(drawn: tuple[Tier, ...], quantity: Decimal) -> None:
    """No unit is lost between tiers or counted in two."""
    assert sum(part.quantity for part in graduated(drawn, quantity)) == quantity
    assert [part.quantity for part in volume(drawn, quantity)] == [quantity]


@given(tiers(fees=False), quantities, quantities)
def test_graduated_without_fees_never_falls(drawn: tuple[Tier, ...], one: Decimal, other: Decimal) -> None:
    """It never jumps either: more usage costs at most its quantity at the highest price."""
    less, more = sorted((one, other))
    highest = max(tier.unit_price for tier in drawn)
    grown = tiers_total(graduated(drawn, more)) - tiers_total(graduated(drawn, less))
    assert 0 <= grown <= (more - less) * highest


@given(unit_prices, quantities)
def test_one_tier_is_per_unit(price: Decimal, quantity: Decimal) -> None:
    """A single tier, graduated or by volume, costs the same as a unit price."""
    one = (Tier(unit_price=price),)
    plain = cents(PerUnit(unit_price=price), quantity)
    assert cents(Graduated(tiers=one), quantity) == plain
    assert cents(Volume(tiers=one), quantity) == plain


@given(tiers(), st.data())
def test_graduated_and_volume_agree_up_to_the_first_bound(drawn: tuple[Tier, ...], data: st.DataObject) -> None:
    """They differ only above it."""
    quantity = data.draw(quantities.filter(lambda drawn_one: drawn[0].up_to is None or drawn_one <= drawn[0].up_to))
    assert graduated(drawn, quantity) == volume(drawn, quantity)


D = Decimal
PACKAGE = Package(package_size=D(250), package_price=D(4), free_units=D(30))


@pytest.mark.parametrize(("quantity", "amount"), [("0", 0), ("30", 0), ("31", 400), ("280", 400), ("280.01", 800)])
def test_a_package_that_is_started_is_paid_in_full(quantity: str, amount: int) -> None:
    """Free units are subtracted first; no usage starts no package."""
    assert cents(PACKAGE, D(quantity)) == amount


def test_every_step_of_a_charge() -> None:
    """137 × 0.62, 12.5 % off, lifted to 90."""
    price = PerUnit(unit_price=D("0.62"), percent_discount=D("12.5"), minimum=D(90))
    whole = charged(price, D(137))
    (group,) = whole.groups
    assert group.rated.amount_exact == D("84.94")
    assert (group.rated.gross, group.rated.percent_discount, group.rated.amount) == (8494, 1062, 7432)
    assert (whole.true_up, group.cut, amount_of(whole)) == (1568, 0, 9000)


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
def test_discounts_and_limits_adjust_the_amount(price: Price, quantity: str, amount: int) -> None:
    """Discounted units are in no tier, a minimum is owed without usage, usage below zero costs nothing."""
    assert cents(price, D(quantity)) == amount


def test_a_stub_pays_fixed_amounts_by_its_days() -> None:
    """Flat amounts and minimums are prorated; unit prices, tiers and the maximum are not."""
    days = Portion(days=20, period_days=30)
    assert cents(Flat(amount=D(47)), D(0), days) == 3133
    assert cents(PerUnit(unit_price=D(1), minimum=D(47)), D(2), days) == 3133
    assert cents(PerUnit(unit_price=D(1), maximum=D(10)), D(12), days) == 1000
    assert cents(Graduated(tiers=THREE), D(40), days) == 3900


@given(unit_prices, st.integers(0, 10**6))
def test_packages_of_one_are_units(price: Decimal, quantity: int) -> None:
    """For whole quantities."""
    packaged = Package(package_size=D(1), package_price=price)
    assert cents(packaged, D(quantity)) == (cents(PerUnit(unit_price=price), D(quantity)))


@given(st.sampled_from((D("0.5"), D(3), D("2.75"))), amounts, quantities, quantities)
def test_packages_are_counted_exactly(size: Decimal, price: Decimal, free: Decimal, quantity: Decimal) -> None:
    """An oracle that counts in fractions, which cannot round."""
    package = Package(package_size=size, package_price=price, free_units=free)
    packages = ceil(max(Fraction(0), Fraction(quantity) - Fraction(free)) / Fraction(size))
    assert rate(package, quantity, USD).packages == packages
    assert cents(package, quantity) == packages * price * 100


@given(prices(), quantities)
def test_a_charge_keeps_its_limits(price: Price, quantity: Decimal) -> None:
    """Whatever the other adjustments."""
    amount = cents(price, quantity)
    assert price.minimum is None or amount >= price.minimum * 100
    assert price.maximum is None or amount <= price.maximum * 100


@given(prices(), quantities)
def test_a_currency_changes_only_the_digits(price: Price, quantity: Decimal) -> None:
    """The amount before rounding is the same in yen, dollars and dinars."""
    rated = {code: rate(price, quantity, code) for code in ("JPY", "USD", "KWD")}
    assert len({one.amount_exact for one in rated.values()}) == 1
    for code, one in rated.items():
        assert abs(one.gross - Fraction(one.amount_exact) * 10 ** exponent(code)) <= Fraction(1, 2)


def test_no_float_is_involved() -> None:
    """0.7 and 0.1 are 0.8, and whole numbers keep their last digit."""
    assert rate(PerUnit(unit_price=D(1)), D("0.7") + D("0.1"), USD).amount_exact == D("0.8")
    large = D(2**53 + 1)
    assert cents(PerUnit(unit_price=D("0.01")), large) == 2**53 + 1


@given(st.integers(1, 10**15), st.integers(1, 10**6))
def test_the_largest_quantity_at_the_smallest_price_is_exact(quantity: int, trillionths: int) -> None:
    """Exact to the twelfth decimal place."""
    price = PerUnit(unit_price=D(trillionths).scaleb(-12))
    exact = rate(price, D(quantity) + D("0.000000000001"), USD).amount_exact
    assert Fraction(exact) == (Fraction(quantity) + Fraction(1, 10**12)) * Fraction(trillionths, 10**12)
