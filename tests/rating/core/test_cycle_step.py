"""Turns of a subscription: what is billed at its beginning, at each boundary and at its end, however late a run is."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.bill import bill_lines, refund_lines
from rating.core.cycle_step import CycleStep, next_step
from rating.core.service_period import ServicePeriod
from rating.core.subscription_cycle import started, with_due_date
from rating.core.subscription_lifecycle import SUBSCRIPTION_TRANSITIONS, SubscriptionTransition, after
from schemas.errors import Conflict
from schemas.plan import FixedFee, Interval, Overrides, PlanVersion, Timing
from schemas.subscription import Status, Subscription
from schemas.timestamps import DAY, MINUTE, to_iso
from tests.rating.core.records import canceled, pending_from

HOUR = 60 * MINUTE
NEW_YEAR = 1_798_761_600_000_000  # 2027-01-01T00:00:00Z
PLAN = PlanVersion(
    code="pro",
    version=1,
    name="Pro",
    currency="USD",
    interval=Interval.MONTH,
    fixed_fees=(
        FixedFee(code="base", name="Base", amount_cents=3100),
        FixedFee(code="care", name="Care", amount_cents=310, timing=Timing.ARREARS),
    ),
)


def pending(**fields: object) -> Subscription:
    """From New Year on, on the first of each month."""
    return pending_from(NEW_YEAR, **fields)


def run(subscription: Subscription, as_of: int, zone: str = "UTC") -> tuple[list[CycleStep], Subscription]:
    """Every turn that is due by then."""
    taken = []
    while subscription.due_at is not None and subscription.due_at <= as_of:
        taken.append(next_step(subscription, PLAN, zone))
        subscription = taken[-1].after
    return taken, subscription


def amounts(taken: CycleStep) -> list[int]:
    lines = bill_lines(taken.plan, ended=taken.ended, begins=taken.begins)
    if taken.unused is not None:
        lines += refund_lines(taken.prepaid_plan, taken.unused)
    return [line.amount for line in lines]


def shown(service: ServicePeriod | None) -> str | None:
    if service is None:
        return None
    portion = service.portion
    return f"{to_iso(service.start)[:10]} {to_iso(service.end)[:10]} {portion.days}/{portion.period_days}"


def test_a_subscription_is_billed_from_its_beginning_to_its_end() -> None:
    """Fees in advance at once, then both at every boundary, and the rest at the end."""
    active = started(pending(), PLAN, NEW_YEAR + 10 * DAY, NEW_YEAR + 10 * DAY)
    taken, active = run(active, NEW_YEAR + 60 * DAY)
    assert [amounts(one) for one in taken] == [[2100], [3100, 210], [3100, 310]]
    assert [shown(one.begins) for one in taken] == [
        "2027-01-11 2027-02-01 21/31",
        "2027-02-01 2027-03-01 28/28",
        "2027-03-01 2027-04-01 31/31",
    ]
    end = msgspec.structs.replace(active, cancel_at=active.period_end)
    [last], over = run(end, NEW_YEAR + 90 * DAY)
    assert (amounts(last), over.status, over.ended_at, over.due_at) == ([310], Status.CANCELED, end.period_end, None)


@pytest.mark.parametrize(
    ("fields", "lines", "unused"),
    [
        ({"refunds": True}, [100, -2100], "2027-01-10 2027-02-01 21/31"),
        ({"refunds": False}, [100], None),
        ({"refunds": True, "ends_by_change": True}, [90, -2200], "2027-01-10 2027-02-01 22/31"),
    ],
)
def test_an_end_in_mid_period_gives_back_what_was_asked(
    fields: dict[str, bool], lines: list[int], unused: str | None
) -> None:
    """The day of the end is used; but on a change of plan the next one pays for it."""
    _, active = run(started(pending(), PLAN, NEW_YEAR, NEW_YEAR), NEW_YEAR)
    [last], over = run(canceled(active, NEW_YEAR + 9 * DAY + HOUR, **fields), NEW_YEAR + 10 * DAY)
    assert (amounts(last), shown(last.unused), over.due_at) == (lines, unused, None)


def test_a_trial_is_free_and_its_end_opens_the_first_period() -> None:
    """Neither its fees nor its usage are billed."""
    trialing = started(pending(trial_days=10), PLAN, NEW_YEAR, NEW_YEAR)
    assert (trialing.status, trialing.due_at) == (Status.TRIALING, NEW_YEAR + 10 * DAY)
    [first], active = run(trialing, NEW_YEAR + 11 * DAY)
    assert (first.ended, shown(first.begins)) == (None, "2027-01-11 2027-02-01 21/31")
    assert active.status is Status.ACTIVE
    [nothing], _ = run(canceled(trialing, NEW_YEAR + 5 * DAY), NEW_YEAR + 5 * DAY)
    assert (nothing.ended, nothing.begins, nothing.unused) == (None, None, None)


def test_a_renewal_brought_forward_gives_back_what_is_paid_again() -> None:
    """31 days are paid, 19 of them again by the next period."""
    _, active = run(started(pending(), PLAN, NEW_YEAR, NEW_YEAR), NEW_YEAR)
    sooner = with_due_date(msgspec.structs.replace(active, period_end=NEW_YEAR + 12 * DAY))
    [renewal], _ = run(sooner, NEW_YEAR + 12 * DAY)
    assert amounts(renewal) == [1900, 120, -1900]


def test_after_a_change_of_zone_no_hour_is_lost() -> None:
    """The next period begins where the last one ended, and ends on the new zone's midnight."""
    _, active = run(started(pending(), PLAN, NEW_YEAR, NEW_YEAR), NEW_YEAR)
    [renewal], moved = run(active, NEW_YEAR + 31 * DAY, "America/New_York")
    assert renewal.ended is not None
    assert renewal.begins is not None
    assert renewal.ended.end == renewal.begins.start == NEW_YEAR + 31 * DAY
    assert (to_iso(moved.period_end), moved.timezone) == ("2027-03-01T05:00:00Z", "America/New_York")


def test_a_trial_that_ends_after_a_change_of_zone_is_followed_by_the_days_to_the_boundary() -> None:
    """Not by the whole period after it, with the days between for nothing."""
    trialing = started(pending(trial_days=20), PLAN, NEW_YEAR, NEW_YEAR)
    [first], moved = run(trialing, NEW_YEAR + 20 * DAY, "Europe/Berlin")
    assert (shown(first.begins), amounts(first)) == ("2027-01-21 2027-01-31 11/31", [1100])
    assert to_iso(moved.period_end) == "2027-01-31T23:00:00Z"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Tokyo"])
def test_a_period_cut_short_or_moved_is_paid_by_its_days_in_any_zone(zone: str) -> None:
    """A moment that was no boundary before is none of another zone's."""
    _, active = run(started(pending(), PLAN, NEW_YEAR, NEW_YEAR), NEW_YEAR)
    cut = with_due_date(msgspec.structs.replace(active, period_end=NEW_YEAR + 25 * DAY))
    [renewal], _ = run(cut, NEW_YEAR + 25 * DAY, zone)
    assert amounts(renewal) == [600, 250, -600]
    moved = msgspec.structs.replace(active, billing_anchor_day=10)
    [renewal], _ = run(moved, NEW_YEAR + 31 * DAY, zone)
    assert amounts(renewal) == [900, 310]


def test_what_is_given_back_is_what_was_paid() -> None:
    """Whatever a fee became after it was billed in advance."""
    dearer, cheaper = Overrides(fees={"base": 31000}), Overrides(fees={"base": 31})
    _, active = run(started(pending(overrides=cheaper), PLAN, NEW_YEAR, NEW_YEAR), NEW_YEAR)
    raised = msgspec.structs.replace(active, overrides=dearer)
    [last], _ = run(canceled(raised, NEW_YEAR + 9 * DAY, refunds=True), NEW_YEAR + 9 * DAY)
    assert amounts(last) == [90, -22]
    [renewal, last], _ = run(canceled(raised, NEW_YEAR + 40 * DAY, refunds=True), NEW_YEAR + 60 * DAY)
    assert (amounts(renewal), amounts(last)) == ([31000, 310], [100, -21036])


def test_who_cancels_before_the_start_owes_nothing() -> None:
    """There was no day of service."""
    later = started(pending(), PLAN, NEW_YEAR + 40 * DAY, NEW_YEAR)
    assert canceled(later, NEW_YEAR + DAY).due_at is None


@given(
    st.integers(0, 40),
    st.integers(0, 20),
    st.integers(1, 31),
    st.integers(1, 200 * 24),
    st.booleans(),
    st.booleans(),
)
def test_it_never_matters_how_late_a_run_is(
    start: int, trial: int, day: int, hours: int, refunds: bool, changes: bool
) -> None:
    """One that comes long after the end bills what runs on time would have billed."""
    begins = NEW_YEAR + start * DAY
    active = started(pending(trial_days=trial, billing_anchor_day=day), PLAN, begins, begins)
    end = begins + hours * HOUR
    on_time, so_far = run(active, end - 1)
    rest, over = run(canceled(so_far, end, refunds=refunds, ends_by_change=changes), end)
    late, late_over = run(canceled(active, end, refunds=refunds, ends_by_change=changes), end + 1000 * DAY)
    billed = [(one.ended, one.begins, one.unused) for one in on_time + rest]
    assert billed == [(one.ended, one.begins, one.unused) for one in late]
    assert over == late_over
    assert over.due_at is None


def test_the_table_of_transitions_says_each_thing_once() -> None:
    """Nothing comes after the end, and everything can come to it."""
    assert len({(row.before, row.transition) for row in SUBSCRIPTION_TRANSITIONS}) == len(SUBSCRIPTION_TRANSITIONS)
    assert {row.before for row in SUBSCRIPTION_TRANSITIONS} == set(Status) - {Status.CANCELED}
    assert {row.before for row in SUBSCRIPTION_TRANSITIONS if row.after is Status.CANCELED} == set(Status) - {
        Status.CANCELED
    }


@pytest.mark.parametrize("transition", SubscriptionTransition)
def test_nothing_is_done_with_what_is_over(transition: SubscriptionTransition) -> None:
    """It says so."""
    with pytest.raises(Conflict, match="the subscription is canceled"):
        after(Status.CANCELED, transition)
