"""Lines for late usage: a period's charge now, less what was billed of it."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rating.core.late_usage import difference_lines
from rating.core.pricing import charge
from schemas.price import Graduated, PerUnit, Price
from tests.rating.core.records import amount_of
from tests.rating.core.strategies import USD, prices, quantities
from tests.rating.core.test_lines import JANUARY, D, Measured, measurements, priced
from tests.rating.core.test_pricing import THREE


@given(prices(), measurements(), measurements())
def test_late_usage_is_billed_to_the_cent(price: Price, before: Measured, late: Measured) -> None:
    """What was billed before and the late lines add up to the whole period priced once."""
    usage = priced(price, "region")
    now = {group: before.get(group, D(0)) + late.get(group, D(0)) for group in {**before, **late}}
    billed = charge(usage, before, USD)
    whole = charge(usage, now, USD)
    lines = difference_lines(usage, whole, billed, currency=USD, service=JANUARY)
    assert amount_of(billed) + sum(line.amount for line in lines) == amount_of(whole)
    assert all(line.quantity * line.unit_amount == line.amount != 0 for line in lines)
    assert all(line.reference.endswith("@1970-01-01T00:00:00Z") for line in lines)
    assert difference_lines(usage, whole, whole, currency=USD, service=JANUARY) == []


def test_a_late_line_has_what_was_billed_before() -> None:
    """A late line has the quantity billed before; a group that was corrected to nothing is credited whole."""
    usage = priced(PerUnit(unit_price=D(1)), "region")
    before, now = charge(usage, {("a",): D(3), ("b",): D(2)}, USD), charge(usage, {("a",): D(5)}, USD)
    late, gone = difference_lines(usage, now, before, currency=USD, service=JANUARY)
    assert (late.reference, late.amount) == ('usage:calls:["a"]@1970-01-01T00:00:00Z', 200)
    assert late.usage is not None
    assert (late.usage.quantity, late.usage.rated_before) == (D(5), D(3))
    assert gone.amount == -200
    assert gone.usage is not None
    assert (gone.usage.quantity, gone.usage.rated_before) == (D(0), D(2))


def test_references_of_late_lines_fit_the_ledger_and_differ() -> None:
    """They have the start of the period too, within the ledger's 512 characters."""
    usage = priced(PerUnit(unit_price=D(1)), "region")
    long = [f"{'é' * 2000}{number}" for number in range(50)]
    now = charge(usage, {(value,): D(1) for value in long}, USD)
    lines = difference_lines(usage, now, charge(usage, {}, USD), currency=USD, service=JANUARY)
    assert len({line.reference for line in lines}) == len(long)
    assert max(len(line.reference) for line in lines) <= 512


def billed_in_turn(price: Price, totals: Sequence[Decimal]) -> list[int]:
    """What each total of a period bills, the first as a whole and the others less the one before."""
    usage = priced(price)
    charges = [charge(usage, {(): total}, USD) for total in totals]
    later = [
        sum(line.amount for line in difference_lines(usage, now, before, currency=USD, service=JANUARY))
        for before, now in pairwise(charges)
    ]
    return [amount_of(charges[0]), *later]


def test_usage_is_never_billed_twice() -> None:
    """25 units, then 55, then a correction down to 30."""
    assert billed_in_turn(Graduated(tiers=THREE), [D(25), D(55), D(30)]) == [2550, 2600, -2150]


def test_a_minimum_is_billed_first_and_given_back_as_usage_arrives() -> None:
    """A later total costs only what exceeds the minimum; a maximum holds over all totals."""
    lifted, held = PerUnit(unit_price=D(1), minimum=D(10)), PerUnit(unit_price=D(1), maximum=D(10))
    assert billed_in_turn(lifted, [D(3), D(7), D(12)]) == [1000, 0, 200]
    assert billed_in_turn(held, [D(8), D(13)]) == [800, 200]


def test_the_minimum_s_own_line_gives_back_what_usage_adds() -> None:
    """From 3 to 7 units, the usage line is +4.00 and the minimum's line is -4.00."""
    usage = priced(PerUnit(unit_price=D(1), minimum=D(10)))
    before, now = (charge(usage, {(): D(quantity)}, USD) for quantity in (3, 7))
    lines = difference_lines(usage, now, before, currency=USD, service=JANUARY)
    assert [(before.groups[0].amount, before.true_up), (now.groups[0].amount, now.true_up)] == [(300, 700), (700, 300)]
    assert [line.amount for line in lines] == [400, -400]


@given(prices(), st.lists(quantities, min_size=1, max_size=5))
def test_the_parts_of_a_period_add_up_to_the_whole(price: Price, parts: list[Decimal]) -> None:
    """However it is split, with minimum and maximum, for every model."""
    totals = [sum(parts[: place + 1], D(0)) for place in range(len(parts))]
    assert sum(billed_in_turn(price, totals)) == amount_of(charge(priced(price), {(): totals[-1]}, USD))
