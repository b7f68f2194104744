"""Usage of many periods is read with few queries, and every period gets exactly its own."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.usage_needs import MAX_CUSTOMERS_PER_QUERY, UsageNeed, usage_batches, whole_minute
from rating.runs.measuring import BackfillIncomplete, measure
from schemas.errors import Overloaded
from schemas.ids import AccountId
from schemas.plan import UsagePrice
from schemas.price import PerUnit
from schemas.timestamps import MINUTE
from tests.rating.runs.counted_usage import CountedUsage, UsageEvent

pytestmark = pytest.mark.anyio

ACCOUNT = AccountId("account")
PRICE = UsagePrice(code="tokens", name="Tokens", meter="tokens", price=PerUnit(unit_price=Decimal(1)))
GROUPED = UsagePrice(
    code="by_model", name="Tokens", meter="tokens", price=PerUnit(unit_price=Decimal(1)), group_by=("model",)
)


def need(number: int, start: int = 0, end: int = 10, price: UsagePrice = PRICE) -> UsageNeed:
    """The usage of one customer, between two minutes."""
    return UsageNeed(
        subscription=f"s{number}",
        account=ACCOUNT,
        customer=f"c{number}",
        price=price,
        start=start * MINUTE,
        end=end * MINUTE,
    )


def used(number: int, minute: float, value: int = 1, model: str | None = None) -> UsageEvent:
    return UsageEvent(customer=f"c{number}", at=int(minute * MINUTE), value=Decimal(value), group={"model": model})


async def test_customers_that_share_a_period_share_a_query() -> None:
    """A thousand customers per query; another period, meter or grouping is another query."""
    usage = CountedUsage(group_by=("model",))
    usage.events = [used(number, 5, number) for number in range(2500)]
    found = await measure([need(number) for number in range(2500)], usage, usage)
    assert len(usage.queries) == -(-2500 // MAX_CUSTOMERS_PER_QUERY)
    assert [found[f"s{number}", "tokens", 0].quantities.get((), 0) for number in range(2500)] == list(range(2500))
    assert len(list(usage_batches([need(1), need(2, end=9), need(3, price=GROUPED), need(4)]))) == 3


async def test_a_meter_s_backfill_is_read_once() -> None:
    """However many periods are measured."""
    usage = CountedUsage(group_by=("model",))
    await measure([need(1), need(1, start=1), need(1, start=2), need(1, price=GROUPED)], usage, usage)
    assert (len(usage.queries), usage.backfills_read) == (4, ["tokens"])


async def test_a_period_without_usage_is_measured_as_empty() -> None:
    """With a watermark: that no usage was there holds up to a flush, too."""
    usage = CountedUsage()
    found = await measure([need(1)], usage, usage)
    assert found["s1", "tokens", 0].quantities == {}
    assert found["s1", "tokens", 0].watermark.flushes == {0: -1}


async def test_each_group_has_its_own_quantity() -> None:
    """Events without the property are a group, too."""
    usage = CountedUsage(group_by=("model",))
    usage.events = [used(1, 1, 2, "a"), used(1, 2, 3, "b"), used(1, 3, 4, "a"), used(1, 4, 5)]
    found = await measure([need(1, price=GROUPED)], usage, usage)
    assert found["s1", "by_model", 0].quantities == {("a",): 6, ("b",): 3, (None,): 5}


async def test_a_meter_that_is_still_counting_its_past_is_not_measured() -> None:
    """Its usage of past periods is incomplete."""
    usage = CountedUsage()
    usage.is_backfilled = False
    with pytest.raises(BackfillIncomplete, match="meter tokens"):
        await measure([need(1)], usage, usage)


async def test_a_batch_whose_answer_is_too_long_is_read_in_halves() -> None:
    """Until each answer fits, at its own watermark. One customer with too many groups cannot be billed."""
    usage = CountedUsage(group_by=("model",), rows_at_once=3)
    usage.events = [used(number, 1, 1, model) for number in range(5) for model in ("a", "b", "c")]
    found = await measure([need(number, price=GROUPED) for number in range(5)], usage, usage)
    assert {len(one.quantities) for one in found.values()} == {3}
    usage.events.append(used(0, 1, 1, "d"))
    with pytest.raises(Overloaded, match="customer c0"):
        await measure([need(0, price=GROUPED)], usage, usage)


@given(
    cuts=st.lists(st.integers(1, 20 * MINUTE), max_size=6),
    times=st.lists(st.integers(0, 20 * MINUTE - 1), max_size=30),
)
async def test_periods_that_tile_time_share_every_event(cuts: list[int], times: list[int]) -> None:
    """Wherever a boundary lies in its minute, each event is in exactly one period."""
    usage = CountedUsage()
    usage.events = [UsageEvent(customer="c", at=at, value=Decimal(1)) for at in times]
    edges = sorted({0, *cuts, 20 * MINUTE})
    tiles = [
        UsageNeed(subscription=f"s{start}", account=ACCOUNT, customer="c", price=PRICE, start=start, end=end)
        for start, end in pairwise(edges)
    ]
    found = await measure(tiles, usage, usage)
    assert sum(sum(one.quantities.values()) for one in found.values()) == len(times)
    assert all(
        whole_minute(tile.start) < whole_minute(tile.end)
        for tile in tiles
        if (tile.subscription, "tokens", tile.start) in found
    )
