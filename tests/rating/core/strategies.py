"""Strategies for prices and quantities: few bounds, so that quantities hit them, and awkward decimals."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from schemas.price import Flat, Graduated, Package, PerUnit, Price, Tier, Volume

USD = "USD"

quantities = st.one_of(
    st.integers(0, 12).map(Decimal),
    st.integers(0, 48).map(lambda quarters: Decimal(quarters) / 4),
    st.decimals(0, 30, places=6, allow_nan=False),
)
unit_prices = st.one_of(st.integers(0, 300).map(lambda cents: Decimal(cents) / 100), st.decimals(0, 3, places=7))
amounts = st.integers(0, 5000).map(lambda cents: Decimal(cents) / 100)


@st.composite
def tiers(draw: st.DrawFn, *, fees: bool = True) -> tuple[Tier, ...]:
    """Up to four tiers, at bounds that quantities often hit."""
    bounds = sorted(draw(st.sets(st.sampled_from([Decimal(number) / 2 for number in range(1, 24)]), max_size=3)))
    return tuple(
        Tier(up_to=bound, unit_price=draw(unit_prices), flat_fee=draw(amounts) if fees else Decimal(0))
        for bound in (*bounds, None)
    )


@st.composite
def adjustments(draw: st.DrawFn) -> dict[str, Any]:
    """Discounts and limits, each of them rare."""
    low, high = sorted((draw(amounts), draw(amounts)))
    return {
        "usage_discount": draw(st.one_of(st.just(Decimal(0)), quantities)),
        "percent_discount": draw(st.sampled_from(("0", "0", "12.5", "33.333", "100")).map(Decimal)),
        "minimum": draw(st.sampled_from((None, None, low))),
        "maximum": draw(st.sampled_from((None, None, high))),
    }


def prices() -> st.SearchStrategy[Price]:
    """Prices of every model, with and without adjustments."""
    return st.one_of(
        st.builds(lambda amount, more: Flat(amount=amount, **more), amounts, adjustments()),
        st.builds(lambda price, more: PerUnit(unit_price=price, **more), unit_prices, adjustments()),
        st.builds(lambda drawn, more: Graduated(tiers=drawn, **more), tiers(), adjustments()),
        st.builds(lambda drawn, more: Volume(tiers=drawn, **more), tiers(), adjustments()),
        st.builds(
            lambda size, price, free, more: Package(package_size=size, package_price=price, free_units=free, **more),
            st.sampled_from(("0.5", "1", "3", "2.75")).map(Decimal),
            amounts,
            quantities,
            adjustments(),
        ),
    )
