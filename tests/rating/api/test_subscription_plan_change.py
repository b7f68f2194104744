"""A change of plan over the API: one subscription ends, another follows where it ended."""

import asyncio

import pytest

from schemas.timestamps import DAY
from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio

NOW_TO_TEAM = {"target_plan_code": "team", "change_mode": "now"}
LATER_TO_TEAM = {"target_plan_code": "team", "change_mode": "end_of_period"}


@on_every_ledger
async def test_a_change_now_ends_one_subscription_and_begins_the_other(billing_api: BillingApi) -> None:
    """On the same boundaries, at the same moment."""
    await billing_api.plan()
    await billing_api.plan("team")
    made = await billing_api.subscription(billing_anchor_day=20, metadata={"a": "b"})
    billing_api.clock.now += DAY
    changed = await billing_api.post(f"/v1/subscriptions/{made['id']}/change-plan", NOW_TO_TEAM, status=200)
    old, new = changed["old_subscription"], changed["new_subscription"]
    assert changed["status"] == "changed"
    assert (old["id"], old["status"], old["ended_at"]) == (made["id"], "canceled", "2027-01-16T08:00:00Z")
    assert (new["plan_code"], new["status"], new["previous_subscription_id"]) == ("team", "active", made["id"])
    assert new["start_date"] == new["current_period_start"] == old["ended_at"]
    assert (new["billing_anchor_day"], new["current_period_end"]) == (20, made["current_period_end"])
    assert new["metadata"] == {"a": "b"}


async def test_a_different_interval_is_calculated_from_the_day_of_the_change(billing_api: BillingApi) -> None:
    """A year from today."""
    await billing_api.plan()
    await billing_api.plan("team", interval="year")
    made = await billing_api.subscription()
    changed = await billing_api.post(f"/v1/subscriptions/{made['id']}/change-plan", NOW_TO_TEAM, status=200)
    new = changed["new_subscription"]
    assert (new["billing_anchor_day"], new["current_period_end"]) == (15, "2028-01-15T00:00:00Z")


async def test_a_trial_continues_and_no_other_begins(billing_api: BillingApi) -> None:
    """A change of plan does not extend a trial."""
    await billing_api.plan(trial_days=14)
    await billing_api.plan("team", trial_days=30)
    made = await billing_api.subscription()
    billing_api.clock.now += DAY
    changed = await billing_api.post(f"/v1/subscriptions/{made['id']}/change-plan", NOW_TO_TEAM, status=200)
    new = changed["new_subscription"]
    assert (new["status"], new["trial_end"]) == ("trialing", made["trial_end"])


async def test_a_scheduled_change_waits_and_can_be_revoked(billing_api: BillingApi) -> None:
    """Until then the old subscription continues and the new one is pending."""
    await billing_api.plan()
    await billing_api.plan("team")
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    changed = await billing_api.post(f"{path}/change-plan", LATER_TO_TEAM, status=200)
    old, new = changed["old_subscription"], changed["new_subscription"]
    assert (changed["status"], old["status"], new["status"]) == ("scheduled", "active", "pending")
    assert old["cancel_at"] == new["start_date"] == made["current_period_end"]
    waiting = f"/v1/subscriptions/{new['id']}"
    for refused in (
        await billing_api.post(f"{path}/change-plan", NOW_TO_TEAM, status=409),
        await billing_api.post(f"{path}/change-plan", LATER_TO_TEAM, status=409),
        await billing_api.patch(waiting, {"status": "active"}, status=409),
        await billing_api.post(f"{waiting}/cancel", {"cancel_mode": "now"}, status=409),
    ):
        assert refused["error"]["code"] == "CHANGE_SCHEDULED"
    resumed = (await billing_api.patch(path, {"status": "active"}))["subscription"]
    assert (resumed["cancel_at"], resumed["next_renewal_date"]) == (None, made["next_renewal_date"])
    assert (await billing_api.get(waiting))["subscription"]["status"] == "canceled"


async def test_a_subscription_canceled_now_has_no_successor(billing_api: BillingApi) -> None:
    """The scheduled change is revoked."""
    await billing_api.plan()
    await billing_api.plan("team")
    made = await billing_api.subscription()
    changed = await billing_api.post(f"/v1/subscriptions/{made['id']}/change-plan", LATER_TO_TEAM, status=200)
    await billing_api.post(f"/v1/subscriptions/{made['id']}/cancel", {"cancel_mode": "now"}, status=200)
    found = await billing_api.get(f"/v1/subscriptions/{changed['new_subscription']['id']}")
    assert found["subscription"]["status"] == "canceled"


async def test_a_newer_version_is_a_change_and_the_same_version_is_not(billing_api: BillingApi) -> None:
    """A subscription can move to its plan's current price."""
    await billing_api.plan()
    made = await billing_api.subscription()
    path, change = f"/v1/subscriptions/{made['id']}/change-plan", {"target_plan_code": "pro", "change_mode": "now"}
    assert (await billing_api.post(path, change, status=409))["error"]["code"] == "SAME_PLAN"
    await billing_api.post("/v1/plans/pro/versions", {"currency": "USD", "interval": "month"})
    new = (await billing_api.post(path, change, status=200))["new_subscription"]
    assert (new["plan_code"], new["plan_version"]) == ("pro", 2)


async def test_an_impossible_target_plan_is_refused(billing_api: BillingApi) -> None:
    """One that does not exist, is archived, has another currency or is subscribed to already."""
    await billing_api.plan()
    await billing_api.plan("team")
    await billing_api.plan("euro", currency="EUR")
    await billing_api.plan("draft", draft=True)
    customer = await billing_api.customer(currency="USD")
    made = await billing_api.subscription(customer_id=customer["id"])
    await billing_api.subscription(customer_id=customer["id"], plan_code="team")
    path = f"/v1/subscriptions/{made['id']}/change-plan"
    for code, status in (("none", 404), ("team", 409), ("euro", 409), ("draft", 409)):
        await billing_api.post(path, {"target_plan_code": code, "change_mode": "now"}, status=status)
    assert (await billing_api.get(f"/v1/subscriptions/{made['id']}"))["subscription"] == made


async def test_a_pending_subscription_is_replaced_by_a_pending_one(billing_api: BillingApi) -> None:
    await billing_api.plan()
    await billing_api.plan("team", trial_days=7)
    made = await billing_api.subscription(initial_status="pending", billing_anchor_day=9)
    changed = await billing_api.post(f"/v1/subscriptions/{made['id']}/change-plan", NOW_TO_TEAM, status=200)
    new = changed["new_subscription"]
    assert (changed["old_subscription"]["status"], new["status"], new["billing_anchor_day"]) == (
        "canceled",
        "pending",
        9,
    )
    begun = (await billing_api.patch(f"/v1/subscriptions/{new['id']}", {"status": "active"}))["subscription"]
    assert begun["status"] == "trialing"


@on_every_ledger
@pytest.mark.parametrize("change", [NOW_TO_TEAM, LATER_TO_TEAM])
async def test_concurrent_changes_are_applied_once(billing_api: BillingApi, change: dict[str, str]) -> None:
    """One subscription follows the other, never two."""
    await billing_api.plan()
    await billing_api.plan("team")
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}/change-plan"
    racing = [billing_api.client.post(path, json=change) for _ in range(6)]
    assert sorted(reply.status_code for reply in await asyncio.gather(*racing)) == [200] + [409] * 5
    found = await billing_api.get("/v1/subscriptions", customer_id=made["customer_id"])
    assert len(found["subscriptions"]) == 2


async def test_a_repeated_change_gets_the_stored_answer(billing_api: BillingApi) -> None:
    """Under the same idempotency key, with both subscriptions as they were."""
    await billing_api.plan()
    await billing_api.plan("team")
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}/change-plan"
    first = await billing_api.post(path, NOW_TO_TEAM, status=200, idempotency_key="k1")
    again = await billing_api.post(path, NOW_TO_TEAM, status=200, idempotency_key="k1")
    assert {**first, "request_id": ""} == {**again, "request_id": ""}
