"""Lines of a bill: which lines there are, their references, and their figures."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.lines import bill_lines, fee_line, refund_line, refund_lines
from rating.core.pricing import Group, charge
from rating.core.proration import Portion, ServicePeriod
from schemas.draft_lines import DraftLine
from schemas.plan import FixedFee, Interval, PlanVersion, Timing, UsagePrice
from schemas.price import Flat, Graduated, PerUnit, Price, Tier
from schemas.timestamps import DAY, Micros
from tests.rating.core.records import amount_of
from tests.rating.core.strategies import USD, prices, quantities
from tests.rating.core.test_pricing import THREE

D = Decimal
Measured = dict[Group, Decimal]
JANUARY = ServicePeriod(start=Micros(0), end=Micros(31 * DAY), portion=Portion(days=31, period_days=31))
FEBRUARY = ServicePeriod(start=Micros(31 * DAY), end=Micros(59 * DAY), portion=Portion(days=28, period_days=28))
STUB = ServicePeriod(start=Micros(11 * DAY), end=Micros(31 * DAY), portion=Portion(days=20, period_days=31))

CALLS = UsagePrice(code="calls", name="API calls", meter="api_calls", price=PerUnit(unit_price=D("0.02")))


def plan(*usage_prices: UsagePrice) -> PlanVersion:
    return PlanVersion(
        code="pro",
        version=1,
        name="Pro",
        currency=USD,
        interval=Interval.MONTH,
        fixed_fees=(
            FixedFee(code="platform", name="Platform", amount_cents=4700),
            FixedFee(code="support", name="Support", amount_cents=1000, timing=Timing.ARREARS),
            FixedFee(code="gift", name="Gift", amount_cents=0),
        ),
        usage_prices=usage_prices,
    )


def priced(price: Price, *group_by: str) -> UsagePrice:
    return msgspec.structs.replace(CALLS, price=price, group_by=group_by)


def shown(lines: list[DraftLine]) -> list[tuple[str, int, int, int]]:
    return [(line.reference, line.quantity, line.unit_amount, line.amount) for line in lines]


def test_a_renewal_bills_the_next_period_and_the_one_that_ended() -> None:
    """Fees in advance are for the next period; fees in arrears and usage are for the one that ended."""
    lines = bill_lines(plan(CALLS), ended=JANUARY, begins=FEBRUARY, usage={"calls": {(): D(150)}})
    assert shown(lines) == [
        ("fixed:platform", 1, 4700, 4700),
        ("fixed:support", 1, 1000, 1000),
        ("usage:calls", 150, 2, 300),
    ]
    assert [line.period_start for line in lines] == [FEBRUARY.start, JANUARY.start, JANUARY.start]


def test_the_first_bill_has_fees_in_advance_only() -> None:
    """A stub is billed by its days, which the description names."""
    (line,) = bill_lines(plan(CALLS), begins=STUB)
    assert (line.reference, line.description, line.amount) == ("fixed:platform", "Platform (20 of 31 days)", 3032)


def test_the_last_bill_has_fees_in_arrears_only() -> None:
    """No period begins after it."""
    assert [line.reference for line in bill_lines(plan(CALLS), ended=JANUARY)] == ["fixed:support"]


def test_unused_days_of_fees_in_advance_are_given_back() -> None:
    """A fee in arrears, and one of nothing, have no refund."""
    assert shown(refund_lines(plan(), STUB)) == [("refund:platform", 1, -3032, -3032)]


def test_a_usage_line_has_the_exact_decimals_behind_it() -> None:
    """The line is quantity 1 at its amount, and its usage has the exact figures."""
    usage = priced(Graduated(tiers=THREE, percent_discount=D(10)))
    (line,) = bill_lines(plan(usage), ended=JANUARY, usage={"calls": {(): D("40.5")}})[1:]
    assert (line.quantity, line.unit_amount, line.amount) == (1, 3721, 3721)
    detail = line.usage
    assert detail is not None
    assert (detail.quantity, detail.amount_exact, detail.gross, detail.percent_discount) == (
        D("40.5"),
        D("41.35"),
        4135,
        414,
    )
    assert [(part.tier, part.quantity, part.amount) for part in detail.tiers] == [(1, 40, 39), (2, D("0.5"), D("2.35"))]


@pytest.mark.parametrize(
    ("price", "quantity", "whole"),
    [
        (PerUnit(unit_price=D("0.02")), "150", (150, 2)),
        (PerUnit(unit_price=D("0.020")), "150.0", (150, 2)),
        (PerUnit(unit_price=D("0.025")), "150", (1, 375)),
        (PerUnit(unit_price=D("0.02")), "150.5", (1, 301)),
        (PerUnit(unit_price=D("0.02"), percent_discount=D(50)), "150", (1, 150)),
        (PerUnit(unit_price=D("0.02"), maximum=D(2)), "150", (1, 200)),
        (PerUnit(unit_price=D("0.02"), usage_discount=D(50)), "150", (1, 200)),
        (PerUnit(unit_price=D(0)), "150", (150, 0)),
        (Flat(amount=D(3)), "150", (1, 300)),
    ],
)
def test_quantity_times_unit_amount_is_the_amount(price: Price, quantity: str, whole: tuple[int, int]) -> None:
    """Whole quantities and unit amounts appear only where their product is the amount."""
    line = bill_lines(plan(priced(price)), ended=JANUARY, usage={"calls": {(): D(quantity)}})[1]
    assert (line.quantity, line.unit_amount) == whole


def test_no_usage_makes_a_line_only_where_an_amount_is_owed() -> None:
    """The first tier's fee and the minimum are owed without usage; a unit price is not."""
    no_line, fee = (
        bill_lines(plan(CALLS), ended=JANUARY)[1:],
        bill_lines(plan(priced(Graduated(tiers=THREE))), ended=JANUARY)[1:],
    )
    minimum = bill_lines(plan(priced(PerUnit(unit_price=D(1), minimum=D(5)))), ended=JANUARY)[1:]
    assert no_line == []
    assert [line.amount for line in fee] == [300]
    assert shown(minimum) == [("minimum:calls", 1, 500, 500)]


def test_each_group_is_a_line_of_its_own() -> None:
    """Each group has tiers of its own, in an order independent of the store; a missing value comes last."""
    usage = priced(Graduated(tiers=(Tier(up_to=D(10)), Tier(unit_price=D(1)))), "region")
    measured: Measured = {(None,): D(11), ("us",): D(12), ("eu",): D(9)}
    lines = bill_lines(plan(usage), ended=JANUARY, usage={"calls": measured})[1:]
    assert [(line.reference, line.description, line.amount) for line in lines] == [
        ('usage:calls:["eu"]', "API calls (region: eu)", 0),
        ('usage:calls:["us"]', "API calls (region: us)", 200),
        ("usage:calls:[null]", "API calls (region: none)", 100),
    ]


def test_groups_share_one_minimum_and_one_maximum() -> None:
    """One line lifts all groups to the minimum; the maximum cuts the last groups first."""
    measured: Measured = {("a",): D(3), ("b",): D(4), ("c",): D(5)}
    low = charge(priced(PerUnit(unit_price=D(1), minimum=D(20)), "region"), measured, USD)
    high = charge(priced(PerUnit(unit_price=D(1), maximum=D(5)), "region"), measured, USD)
    assert ([group.amount for group in low.groups], low.true_up, amount_of(low)) == ([300, 400, 500], 800, 2000)
    assert ([group.amount for group in high.groups], amount_of(high)) == ([300, 200, 0], 500)


@st.composite
def measurements(draw: st.DrawFn) -> Measured:
    return draw(st.dictionaries(st.tuples(st.sampled_from(("a", "b", None))), quantities, max_size=3))


def test_a_plan_change_is_two_amounts() -> None:
    """Each is rounded alone: -50.5 and 202 net to 151 cents; rounded as one they would be 152."""
    half = ServicePeriod(start=Micros(0), end=Micros(15 * DAY), portion=Portion(days=15, period_days=30))
    third = ServicePeriod(start=Micros(0), end=Micros(10 * DAY), portion=Portion(days=10, period_days=30))
    assert _plan_change(101, 404, half) == [-51, 202]
    assert sum(_plan_change(3000, 9000, third)) == 2000


def _plan_change(old: int, new: int, remaining: ServicePeriod) -> list[int]:
    lines = (
        refund_line(FixedFee(code="old", name="Old", amount_cents=old), remaining),
        fee_line(FixedFee(code="new", name="New", amount_cents=new), remaining),
    )
    return [line.amount for line in lines if line is not None]


def test_references_of_long_groups_fit_the_ledger_and_differ() -> None:
    """Long values that differ only at their ends have different references, within the ledger's 512 characters."""
    usage = priced(PerUnit(unit_price=D(1)), "region")
    long = [f"{'é' * 2000}{number}" for number in range(50)]
    lines = bill_lines(plan(usage), ended=JANUARY, usage={"calls": {(value,): D(1) for value in long}})[1:]
    assert len({line.reference for line in lines}) == len(long)
    assert max(len(line.reference) for line in lines) <= 512


@given(prices(), measurements())
def test_rating_twice_gives_the_same_lines(price: Price, measured: Measured) -> None:
    """In any order of the groups: references are unique, amounts are the charge's, and JSON keeps every digit."""
    usage = priced(price, "region")
    backwards = dict(reversed(measured.items()))
    lines, again = (bill_lines(plan(usage), ended=STUB, usage={"calls": order}) for order in (measured, backwards))
    assert lines == again == msgspec.json.decode(msgspec.json.encode(lines), type=list[DraftLine])
    assert len({line.reference for line in lines}) == len(lines)
    assert all(line.quantity * line.unit_amount == line.amount for line in lines)
    owed = amount_of(charge(usage, measured, USD, STUB.portion))
    assert sum(line.amount for line in lines if not line.reference.startswith("fixed:")) == owed
