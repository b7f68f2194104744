"""Cycle steps: what a subscription is billed at its start, at each boundary and at its end, however late a run is."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.calendar import Cycle, period_at
from rating.core.cycle_step import CycleStep, next_step
from rating.core.lines import bill_lines, refund_lines
from rating.core.proration import ServicePeriod
from rating.core.subscription_cycle import started, with_due_date
from schemas.plan import FixedFee, Interval, Overrides, PlanVersion, Timing
from schemas.subscription import Status, Subscription
from schemas.timestamps import DAY, MINUTE, to_iso
from tests.rating.core.records import canceled, pending_from
from tests.rating.core.test_calendar import cycles, moments

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
    """A subscription from New Year on, billed on the first of each month."""
    return pending_from(NEW_YEAR, **fields)


def run(subscription: Subscription, as_of: int, zone: str = "UTC") -> tuple[list[CycleStep], Subscription]:
    """Every step that is due by then, and the subscription after the last."""
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


def test_a_subscription_is_billed_from_its_start_to_its_end() -> None:
    """Fees in advance at once, fees of both kinds at every boundary, and fees in arrears at the end."""
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
def test_an_end_in_mid_period_refunds_by_the_policy(
    fields: dict[str, bool], lines: list[int], unused: str | None
) -> None:
    """The day of the end is used, except on a change of plan, where the next plan charges it."""
    _, active = run(started(pending(), PLAN, NEW_YEAR, NEW_YEAR), NEW_YEAR)
    [last], over = run(canceled(active, NEW_YEAR + 9 * DAY + HOUR, **fields), NEW_YEAR + 10 * DAY)
    assert (amounts(last), shown(last.unused), over.due_at) == (lines, unused, None)


def test_a_trial_is_free_and_its_end_opens_the_first_period() -> None:
    """Neither fees nor usage of a trial are billed."""
    trialing = started(pending(trial_days=10), PLAN, NEW_YEAR, NEW_YEAR)
    assert (trialing.status, trialing.due_at) == (Status.TRIALING, NEW_YEAR + 10 * DAY)
    [first], active = run(trialing, NEW_YEAR + 11 * DAY)
    assert (first.ended, shown(first.begins)) == (None, "2027-01-11 2027-02-01 21/31")
    assert active.status is Status.ACTIVE
    [nothing], _ = run(canceled(trialing, NEW_YEAR + 5 * DAY), NEW_YEAR + 5 * DAY)
    assert (nothing.ended, nothing.begins, nothing.unused) == (None, None, None)


def test_a_renewal_brought_forward_gives_back_what_is_paid_again() -> None:
    """31 days are paid, and the next period bills 19 of them again."""
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


def test_a_trial_that_ends_after_a_change_of_zone_is_followed_by_a_stub() -> None:
    """The days up to the new zone's boundary are billed as a period of their own."""
    trialing = started(pending(trial_days=20), PLAN, NEW_YEAR, NEW_YEAR)
    [first], moved = run(trialing, NEW_YEAR + 20 * DAY, "Europe/Berlin")
    assert (shown(first.begins), amounts(first)) == ("2027-01-21 2027-01-31 11/31", [1100])
    assert to_iso(moved.period_end) == "2027-01-31T23:00:00Z"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Tokyo"])
def test_a_shortened_or_moved_period_is_billed_by_its_days_in_any_zone(zone: str) -> None:
    """A moment that is no boundary in the old zone is none in the new one."""
    _, active = run(started(pending(), PLAN, NEW_YEAR, NEW_YEAR), NEW_YEAR)
    cut = with_due_date(msgspec.structs.replace(active, period_end=NEW_YEAR + 25 * DAY))
    [renewal], _ = run(cut, NEW_YEAR + 25 * DAY, zone)
    assert amounts(renewal) == [600, 250, -600]
    moved = msgspec.structs.replace(active, billing_anchor_day=10)
    [renewal], _ = run(moved, NEW_YEAR + 31 * DAY, zone)
    assert amounts(renewal) == [900, 310]


def test_a_refund_is_at_the_amount_that_was_paid() -> None:
    """Even where the fee has changed since it was billed in advance."""
    dearer, cheaper = Overrides(fees={"base": 31000}), Overrides(fees={"base": 31})
    _, active = run(started(pending(overrides=cheaper), PLAN, NEW_YEAR, NEW_YEAR), NEW_YEAR)
    raised = msgspec.structs.replace(active, overrides=dearer)
    [last], _ = run(canceled(raised, NEW_YEAR + 9 * DAY, refunds=True), NEW_YEAR + 9 * DAY)
    assert amounts(last) == [90, -22]
    [renewal, last], _ = run(canceled(raised, NEW_YEAR + 40 * DAY, refunds=True), NEW_YEAR + 60 * DAY)
    assert (amounts(renewal), amounts(last)) == ([31000, 310], [100, -21036])


def test_a_subscription_canceled_before_its_start_owes_nothing() -> None:
    """It has no day of service."""
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
def test_a_late_run_bills_what_punctual_runs_bill(
    start: int, trial: int, day: int, hours: int, refunds: bool, changes: bool
) -> None:
    """Even a run long after the end of the subscription."""
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


@given(cycles(), moments, st.floats(0, 1))
def test_used_and_unused_days_make_the_period(cycle: Cycle, at: int, place: float) -> None:
    """Wherever in the period the subscription ends."""
    period = period_at(cycle, at)
    end = period.start + int((period.end - period.start) * place)
    active = pending(
        status=Status.ACTIVE,
        timezone=cycle.frequency.zone,
        period_start=period.start,
        period_end=period.end,
        full_start=period.start,
        full_end=period.end,
        prepaid_until=period.end,
        prepaid_under=Overrides(),
    )
    last = next_step(canceled(active, end, refunds=True), PLAN, cycle.frequency.zone)
    used, unused = last.ended, last.unused
    assert used is not None
    if unused is None:
        assert used.portion.is_whole
        return
    assert used.portion.days + unused.portion.days == used.portion.period_days == unused.portion.period_days
    assert min(used.portion.days, unused.portion.days) >= 0
    assert used.end == unused.start
    assert unused.end == period.end
