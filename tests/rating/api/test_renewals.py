"""Steps of subscriptions: each taken by one run, and only if the subscription is unchanged since it was read."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.timestamps import DAY
from tests.rating.api.billing_api import BillingApi
from tests.rating.api.ledger_runs import LedgerRuns
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio


@on_every_ledger
async def test_a_step_is_taken_once(billing_api: BillingApi, runs: LedgerRuns) -> None:
    """By one of many concurrent runs; fees in advance first, the renewal at the boundary."""
    await billing_api.plan()
    made = await billing_api.subscription()
    steps = runs.look()
    assert [step.before.id for step in steps] == [made["id"]]
    with ThreadPoolExecutor(4) as pool:
        taken = [step for done in pool.map(runs.take, [steps] * 4) for step in done]
    assert taken == steps
    assert runs.look() == []
    billing_api.clock.now += 20 * DAY
    [renewal] = runs.take(runs.look())
    assert renewal.ended is not None
    shown = (await billing_api.get(f"/v1/subscriptions/{made['id']}"))["subscription"]
    assert shown["current_period_start"] == made["current_period_end"]
    assert shown["current_period_end"] == "2027-03-01T00:00:00Z"


async def test_a_subscription_changed_meanwhile_is_left_to_the_next_run(
    billing_api: BillingApi, runs: LedgerRuns
) -> None:
    await billing_api.plan()
    made = await billing_api.subscription()
    steps = runs.look()
    await billing_api.patch(f"/v1/subscriptions/{made['id']}", {"overrides": {"fees": {"platform": 100}}})
    assert runs.take(steps) == []
    [opening] = runs.take(runs.look())
    assert opening.plan.fixed_fees[0].amount_cents == 100


async def test_a_scheduled_change_begins_when_the_old_subscription_ends(
    billing_api: BillingApi, runs: LedgerRuns
) -> None:
    """In the same transaction, and it is due at that moment."""
    await billing_api.plan()
    await billing_api.plan("team")
    made = await billing_api.subscription()
    runs.take(runs.look())
    body = {"target_plan_code": "team", "change_mode": "end_of_period"}
    changed = await billing_api.post(f"/v1/subscriptions/{made['id']}/change-plan", body, status=200)
    billing_api.clock.now += 20 * DAY
    [end] = runs.take(runs.look())
    assert (end.begins, end.after.status) == (None, "canceled")
    new = (await billing_api.get(f"/v1/subscriptions/{changed['new_subscription']['id']}"))["subscription"]
    assert (new["status"], new["start_date"]) == ("active", made["current_period_end"])
    assert new["current_period_end"] == "2027-03-01T00:00:00Z"
    [opening] = runs.take(runs.look())
    assert (opening.before.id, opening.ended) == (new["id"], None)
    assert runs.look() == []


async def test_due_subscriptions_are_read_by_account_and_in_pages(
    billing_api: BillingApi, other_account: BillingApi, runs: LedgerRuns
) -> None:
    """By id, so that a run can continue where it stopped."""
    for each in (billing_api, other_account):
        await each.plan()
    ids = []
    for _ in range(3):
        billing_api.clock.now += 1_000
        ids.append((await billing_api.subscription())["id"])
    theirs = await other_account.subscription()
    assert [step.before.id for step in runs.look(billing_api.key.account, limit=2)] == ids[:2]
    assert [step.before.id for step in runs.look(billing_api.key.account, after=ids[1])] == ids[2:]
    assert {step.before.id for step in runs.look()} == {*ids, theirs["id"]}
    assert [step.before.id for step in runs.take(runs.look())] == ids


async def test_a_new_time_zone_of_the_customer_applies_from_the_next_boundary(
    billing_api: BillingApi, runs: LedgerRuns
) -> None:
    await billing_api.plan()
    customer = await billing_api.customer()
    made = await billing_api.subscription(customer_id=customer["id"])
    await billing_api.patch(f"/v1/customers/{customer['id']}", {"timezone": "Europe/Berlin"})
    billing_api.clock.now += 20 * DAY
    runs.take(runs.look())
    runs.take(runs.look())
    shown = (await billing_api.get(f"/v1/subscriptions/{made['id']}"))["subscription"]
    assert (shown["current_period_start"], shown["current_period_end"], shown["timezone"]) == (
        "2027-02-01T00:00:00Z",
        "2027-02-28T23:00:00Z",
        "Europe/Berlin",
    )


async def test_an_end_with_the_period_means_the_current_period_even_if_a_run_is_late(
    billing_api: BillingApi, runs: LedgerRuns
) -> None:
    """Although the period before is not billed yet."""
    await billing_api.plan()
    await billing_api.plan("team")
    ending, changing = await billing_api.subscription(), await billing_api.subscription()
    billing_api.clock.now += 20 * DAY
    body = {"cancel_mode": "end_of_period"}
    ended = (await billing_api.post(f"/v1/subscriptions/{ending['id']}/cancel", body, status=200))["subscription"]
    change = {"target_plan_code": "team", "change_mode": "end_of_period"}
    changed = await billing_api.post(f"/v1/subscriptions/{changing['id']}/change-plan", change, status=200)
    assert ended["cancel_at"] == changed["new_subscription"]["start_date"] == "2027-03-01T00:00:00Z"
    while steps := runs.look():
        runs.take(steps)
    shown = (await billing_api.get(f"/v1/subscriptions/{ending['id']}"))["subscription"]
    assert (shown["status"], shown["current_period_end"]) == ("active", "2027-03-01T00:00:00Z")
    billing_api.clock.now += 30 * DAY
    while steps := runs.look():
        runs.take(steps)
    shown = (await billing_api.get(f"/v1/subscriptions/{ending['id']}"))["subscription"]
    assert (shown["status"], shown["ended_at"]) == ("canceled", "2027-03-01T00:00:00Z")
    new = (await billing_api.get(f"/v1/subscriptions/{changed['new_subscription']['id']}"))["subscription"]
    assert (new["status"], new["current_period_start"]) == ("active", "2027-03-01T00:00:00Z")


async def test_a_period_cannot_be_extended_beyond_what_was_billed(billing_api: BillingApi, runs: LedgerRuns) -> None:
    """Otherwise its last days would never be paid."""
    await billing_api.plan()
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    await billing_api.patch(path, {"next_renewal_date": "2027-01-20T00:00:00Z"})
    [opening] = runs.take(runs.look())
    assert opening.begins is not None
    error = (await billing_api.patch(path, {"next_renewal_date": "2027-01-21T00:00:00Z"}, status=400))["error"]
    assert "at most 2027-01-20T00:00:00Z" in error["message"]
    back = (await billing_api.patch(path, {"next_renewal_date": None}))["subscription"]
    assert back["next_renewal_date"] == "2027-01-20T00:00:00Z"
    billing_api.clock.now += 5 * DAY
    [renewal] = runs.take(runs.look())
    assert renewal.begins is not None
    assert opening.begins.portion.days + renewal.begins.portion.days == 17
    billing_api.clock.now += 20 * DAY
    error = (await billing_api.patch(path, {"next_renewal_date": None}, status=409))["error"]
    assert (error["code"], "is active" in error["message"]) == ("PERIOD_NOT_BILLED", True)
