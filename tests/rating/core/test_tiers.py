"""Graduated and volume prices: the published numbers, a plain recount, and what must hold for any tiers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.pricing import price_quantity
from rating.core.tiers import graduated, tiers_total, volume
from schemas.price import Graduated, PerUnit, Tier, Volume
from tests.rating.core.strategies import USD, quantities, tiers, unit_prices

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
