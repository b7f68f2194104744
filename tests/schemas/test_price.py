"""Prices are read back as written, and validated as a whole."""

from decimal import Decimal

import msgspec
import pytest

from schemas.plan import FixedFee, Interval, Overrides, PlanVersion, UsagePrice, overridden
from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume
from schemas.price_rules import check_price

TIERS = (Tier(up_to=Decimal(40), unit_price=Decimal("0.9"), flat_fee=Decimal(3)), Tier(unit_price=Decimal("0.45")))

PRICES = (
    Flat(amount=Decimal("9.90")),
    PerUnit(unit_price=Decimal("0.000000000001"), minimum=Decimal(5), maximum=Decimal(5)),
    Graduated(tiers=TIERS, usage_discount=Decimal("2.5")),
    Volume(tiers=TIERS, percent_discount=Decimal(100)),
    Package(package_size=Decimal(250), package_price=Decimal(4), free_units=Decimal(30)),
)


@pytest.mark.parametrize("price", PRICES, ids=lambda price: type(price).__name__)
def test_a_stored_price_is_read_back_unchanged(price: Price) -> None:
    """Decimals are strings in JSON, and the model is a tag."""
    encoded = msgspec.json.encode(price)
    assert msgspec.json.decode(encoded, type=Price) == price
    assert check_price(price) == []


def test_decimals_are_written_as_strings() -> None:
    """Many JSON readers turn a JSON number into a float."""
    encoded = msgspec.to_builtins(PerUnit(unit_price=Decimal("0.30")))
    assert encoded["unit_price"] == "0.30"
    assert encoded["model"] == "per_unit"


def tiers(*bounds: str | None) -> Graduated:
    return Graduated(tiers=tuple(Tier(up_to=None if bound is None else Decimal(bound)) for bound in bounds))


@pytest.mark.parametrize(
    ("price", "fields"),
    [
        (Flat(amount=Decimal(-1)), ["amount"]),
        (Flat(amount=Decimal("NaN")), ["amount"]),
        (Flat(amount=Decimal("1E+400")), ["amount"]),
        (PerUnit(unit_price=Decimal("0.0000000000001")), ["unit_price"]),
        (PerUnit(unit_price=Decimal("0.1000000000000000")), []),
        (PerUnit(unit_price=Decimal(10) ** 9), ["unit_price"]),
        (tiers(), ["tiers"]),
        (tiers("40"), ["tiers[0].up_to"]),
        (tiers("0", None), ["tiers[0].up_to"]),
        (tiers("40", "40", None), ["tiers[1].up_to"]),
        (tiers("40", None, "50", None), ["tiers[1].up_to"]),
        (Package(package_size=Decimal(0), package_price=Decimal(1)), ["package_size"]),
        (Flat(amount=Decimal(1), minimum=Decimal(2), maximum=Decimal(1)), ["minimum"]),
        (Flat(amount=Decimal(1), percent_discount=Decimal("100.5")), ["percent_discount"]),
        (
            PerUnit(unit_price=Decimal("-Infinity"), usage_discount=Decimal(-1), minimum=Decimal(-1)),
            ["unit_price", "usage_discount", "minimum"],
        ),
    ],
)
def test_every_error_names_its_field(price: Price, fields: list[str]) -> None:
    """All errors are reported together."""
    assert [field for field, _ in check_price(price)] == fields


def test_a_subscription_may_override_its_plan() -> None:
    """Only overridden amounts change; the plan itself never does."""
    plan = PlanVersion(
        code="pro",
        version=1,
        name="Pro",
        currency="USD",
        interval=Interval.MONTH,
        fixed_fees=(FixedFee(code="platform", name="Platform", amount_cents=4900),),
        usage_prices=(UsagePrice(code="calls", name="Calls", meter="api_calls", price=PRICES[1]),),
    )
    own = overridden(plan, Overrides(fees={"platform": 100, "other": 1}, prices={"calls": PRICES[0]}))
    assert [fee.amount_cents for fee in own.fixed_fees] == [100]
    assert [usage.price for usage in own.usage_prices] == [PRICES[0]]
    assert overridden(plan, Overrides()) is plan
