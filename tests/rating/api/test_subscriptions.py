"""Subscriptions over the API: created, listed, changed and ended, as their status allows."""

import asyncio
from typing import Any

import pytest

from schemas.timestamps import DAY
from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio

NOW = "2027-01-15T08:00:00Z"


@on_every_ledger
async def test_a_subscription_begins_now_and_renews_on_the_first(billing_api: BillingApi) -> None:
    """By default; the response shows the given fields."""
    await billing_api.plan()
    made = await billing_api.subscription(metadata={"seat": "1"})
    assert (made["status"], made["plan_code"], made["plan_version"], made["timezone"]) == ("active", "pro", 1, "UTC")
    assert (made["start_date"], made["current_period_start"]) == (NOW, NOW)
    assert made["current_period_end"] == made["next_renewal_date"] == "2027-02-01T00:00:00Z"
    assert (made["billing_anchor_day"], made["metadata"]) == (1, {"seat": "1"})
    assert made["overrides"] == {"fees": {}, "prices": {}}
    for absent in ("trial_end", "cancel_at", "canceled_at", "ended_at", "previous_subscription_id"):
        assert made[absent] is None
    assert (await billing_api.get(f"/v1/subscriptions/{made['id']}"))["subscription"] == made


async def test_a_pending_subscription_has_no_period_until_it_is_activated(billing_api: BillingApi) -> None:
    """Nothing is billed for the time before."""
    await billing_api.plan()
    made = await billing_api.subscription(initial_status="pending", start_date="2027-01-10T00:00:00Z")
    assert (made["status"], made["start_date"]) == ("pending", "2027-01-10T00:00:00Z")
    assert (made["current_period_start"], made["current_period_end"], made["next_renewal_date"]) == (None, None, None)
    billing_api.clock.now += DAY
    begun = (await billing_api.patch(f"/v1/subscriptions/{made['id']}", {"status": "active"}))["subscription"]
    assert (begun["status"], begun["start_date"]) == ("active", "2027-01-16T08:00:00Z")
    assert begun["current_period_end"] == "2027-02-01T00:00:00Z"


async def test_boundaries_are_midnights_in_the_customer_s_time_zone(billing_api: BillingApi) -> None:
    """Day 31 is the last day of a shorter month."""
    await billing_api.plan()
    customer = await billing_api.customer(timezone="America/New_York")
    made = await billing_api.subscription(
        customer_id=customer["id"], billing_anchor_day=31, start_date="2027-02-10T12:00:00Z"
    )
    assert (made["timezone"], made["current_period_end"]) == ("America/New_York", "2027-02-28T05:00:00Z")


async def test_a_trial_is_the_first_period(billing_api: BillingApi) -> None:
    """The plan's, unless the subscription has its own."""
    await billing_api.plan(trial_days=14)
    made = await billing_api.subscription()
    assert (made["status"], made["trial_end"]) == ("trialing", "2027-01-29T08:00:00Z")
    assert made["current_period_end"] == made["trial_end"]
    assert (await billing_api.subscription(trial_days=0))["status"] == "active"
    over = await billing_api.subscription(start_date="2027-01-01T00:00:00Z")
    assert (over["status"], over["current_period_start"]) == ("active", "2027-01-15T00:00:00Z")


async def test_a_subscription_can_override_prices(billing_api: BillingApi) -> None:
    """By the codes of the plan."""
    await billing_api.meter()
    price = {"code": "calls", "name": "Calls", "meter": "calls", "price": {"model": "per_unit", "unit_price": "1"}}
    await billing_api.plan(usage_prices=[price])
    own = {"fees": {"platform": 1500}, "prices": {"calls": {"model": "per_unit", "unit_price": "0.0000001"}}}
    made = await billing_api.subscription(overrides=own)
    assert made["overrides"]["fees"] == {"platform": 1500}
    assert made["overrides"]["prices"]["calls"]["unit_price"] == "0.0000001"
    path = f"/v1/subscriptions/{made['id']}"
    assert (await billing_api.patch(path, {"overrides": {}}))["subscription"]["overrides"]["fees"] == {}
    error = (await billing_api.patch(path, {"overrides": {"fees": {"platfrom": 1}}}, status=400))["error"]
    assert "it has platform" in error["message"]
    unknown = {"prices": {"calls": {"model": "per_unit", "unit_price": "1", "unit": 2}}}
    error = (await billing_api.patch(path, {"overrides": unknown}, status=400))["error"]
    assert error["details"][0]["field"] == "overrides.prices.calls.unit"
    wrong = {"prices": {"calls": {"model": "per_unit", "unit_price": "-1"}}}
    error = (await billing_api.patch(path, {"overrides": wrong}, status=400))["error"]
    assert error["details"][0]["field"] == "overrides.prices.calls.unit_price"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"customer_id": "cnobody"}, 404, "NOT_FOUND"),
        ({"plan_code": "nothing"}, 404, "NOT_FOUND"),
        ({"plan_version": 2}, 404, "NOT_FOUND"),
        ({"plan_code": "draft"}, 409, "PLAN_NOT_PUBLISHED"),
        ({"plan_code": "gone"}, 409, "PLAN_ARCHIVED"),
        ({"plan_code": "euro"}, 409, "CURRENCY_MISMATCH"),
        ({"billing_anchor_day": 32}, 400, "VALIDATION_ERROR"),
        ({"initial_status": "canceled"}, 400, "VALIDATION_ERROR"),
        ({"start_date": "2027-01-15"}, 400, "VALIDATION_ERROR"),
        ({"start_date": "0001-01-01T00:00:00Z"}, 400, "VALIDATION_ERROR"),
        ({"overrides": {"fees": {"other": 1}}}, 400, "VALIDATION_ERROR"),
    ],
)
async def test_an_impossible_subscription_is_refused(
    billing_api: BillingApi, fields: dict[str, Any], status: int, code: str
) -> None:
    """With the reason, and nothing is stored."""
    await billing_api.plan()
    await billing_api.plan("draft", draft=True)
    await billing_api.plan("euro", currency="EUR")
    await billing_api.plan("gone")
    await billing_api.delete("/v1/plans/gone")
    customer = await billing_api.customer(currency="USD")
    body = {"customer_id": customer["id"], "plan_code": "pro"} | fields
    assert (await billing_api.post("/v1/subscriptions", body, status=status))["error"]["code"] == code
    assert (await billing_api.get("/v1/subscriptions"))["subscriptions"] == []


@on_every_ledger
async def test_a_customer_subscribes_to_a_plan_once_at_a_time(billing_api: BillingApi) -> None:
    """Also with concurrent requests; after the end the customer may subscribe again."""
    await billing_api.plan()
    customer = await billing_api.customer()
    body = {"customer_id": customer["id"], "plan_code": "pro"}
    racing = [billing_api.client.post("/v1/subscriptions", json=body) for _ in range(6)]
    replies = sorted(await asyncio.gather(*racing), key=lambda reply: reply.status_code)
    assert [reply.status_code for reply in replies] == [201] + [409] * 5
    assert replies[-1].json()["error"]["code"] == "SUBSCRIPTION_EXISTS"
    made = replies[0].json()["subscription"]
    await billing_api.post(f"/v1/subscriptions/{made['id']}/cancel", {"cancel_mode": "now"}, status=200)
    await billing_api.post("/v1/subscriptions", body)


@on_every_ledger
async def test_a_listing_can_be_filtered_by_customer_and_status(billing_api: BillingApi) -> None:
    """Newest first, in pages."""
    await billing_api.plan()
    first = await billing_api.subscription()
    billing_api.clock.now += 1_000
    second = await billing_api.subscription(initial_status="pending")
    assert (await billing_api.get("/v1/subscriptions"))["subscriptions"] == [second, first]
    assert (await billing_api.get("/v1/subscriptions?status=active"))["subscriptions"] == [first]
    found = await billing_api.get("/v1/subscriptions", customer_id=second["customer_id"])
    assert found["subscriptions"] == [second]
    page = await billing_api.get("/v1/subscriptions", limit=1)
    assert page["pagination"] == {"has_more": True, "next_cursor": second["id"]}


async def test_the_anchor_day_moves_the_next_boundary_but_one(billing_api: BillingApi) -> None:
    """The current period ends as before."""
    await billing_api.plan()
    made = await billing_api.subscription()
    changed = (await billing_api.patch(f"/v1/subscriptions/{made['id']}", {"billing_anchor_day": 15}))["subscription"]
    assert (changed["billing_anchor_day"], changed["current_period_end"]) == (15, made["current_period_end"])


async def test_the_next_renewal_can_be_brought_forward(billing_api: BillingApi) -> None:
    """Within the calendar's period, and back to its end."""
    await billing_api.plan()
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    sooner = (await billing_api.patch(path, {"next_renewal_date": "2027-01-20T00:00:00Z"}))["subscription"]
    assert sooner["current_period_end"] == sooner["next_renewal_date"] == "2027-01-20T00:00:00Z"
    for wrong in ("2027-01-15T08:00:00Z", "2027-02-01T00:00:01Z"):
        error = (await billing_api.patch(path, {"next_renewal_date": wrong}, status=400))["error"]
        assert "at most 2027-02-01T00:00:00Z" in error["message"]
    back = (await billing_api.patch(path, {"next_renewal_date": None}))["subscription"]
    assert back["next_renewal_date"] == "2027-02-01T00:00:00Z"


async def test_a_subscription_canceled_now_is_over(billing_api: BillingApi) -> None:
    """And refuses every further change."""
    await billing_api.plan()
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    body = {"cancel_mode": "now", "cancel_now_prepaid_refund_policy": "prorate"}
    over = (await billing_api.post(f"{path}/cancel", body, status=200))["subscription"]
    assert (over["status"], over["canceled_at"], over["ended_at"], over["next_renewal_date"]) == (
        "canceled",
        NOW,
        NOW,
        None,
    )
    change = {"target_plan_code": "pro", "change_mode": "now"}
    for refused in (
        await billing_api.post(f"{path}/cancel", body, status=409),
        await billing_api.post(f"{path}/cancel", {"cancel_mode": "end_of_period"}, status=409),
        await billing_api.patch(path, {"status": "active"}, status=409),
        await billing_api.patch(path, {"status": "canceled"}, status=409),
        await billing_api.patch(path, {"billing_anchor_day": 2}, status=409),
        await billing_api.patch(path, {"next_renewal_date": None}, status=409),
    ):
        assert refused["error"]["code"] == "INVALID_TRANSITION"
        assert "the subscription is canceled" in refused["error"]["message"]
    await billing_api.post(f"{path}/change-plan", change, status=409)
    await billing_api.patch(path, {"metadata": {"why": "moved"}})


async def test_a_cancellation_at_the_end_of_the_period_can_be_revoked(billing_api: BillingApi) -> None:
    """Until then the subscription is active and shows its end."""
    await billing_api.plan()
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    ending = (await billing_api.post(f"{path}/cancel", {"cancel_mode": "end_of_period"}, status=200))["subscription"]
    assert (ending["status"], ending["cancel_at"], ending["next_renewal_date"]) == (
        "active",
        made["current_period_end"],
        None,
    )
    assert (ending["canceled_at"], ending["ended_at"]) == (NOW, None)
    again = await billing_api.post(f"{path}/cancel", {"cancel_mode": "end_of_period"}, status=409)
    assert again["error"]["code"] == "CANCEL_SCHEDULED"
    await billing_api.patch(path, {"next_renewal_date": None}, status=409)
    resumed = (await billing_api.patch(path, {"status": "active"}))["subscription"]
    assert (resumed["cancel_at"], resumed["canceled_at"], resumed["next_renewal_date"]) == (
        None,
        None,
        made["next_renewal_date"],
    )


async def test_a_refused_transition_lists_the_possible_ones(billing_api: BillingApi) -> None:
    """In the message and in the details."""
    await billing_api.plan()
    made = await billing_api.subscription(initial_status="pending")
    error = (
        await billing_api.post(f"/v1/subscriptions/{made['id']}/cancel", {"cancel_mode": "end_of_period"}, status=409)
    )["error"]
    assert error["details"] == {"status": "pending", "possible": ["begun with a trial", "activated", "canceled"]}
    error = (await billing_api.patch(f"/v1/subscriptions/{made['id']}", {"status": "trialing"}, status=409))["error"]
    assert "is pending, so it cannot be made trialing" in error["message"]


async def test_a_refund_policy_needs_an_immediate_end(billing_api: BillingApi) -> None:
    """At the end of a period nothing is left to refund."""
    await billing_api.plan()
    made = await billing_api.subscription()
    body = {"cancel_mode": "end_of_period", "cancel_now_prepaid_refund_policy": "none"}
    error = (await billing_api.post(f"/v1/subscriptions/{made['id']}/cancel", body, status=400))["error"]
    assert error["details"] == {"field": "cancel_now_prepaid_refund_policy"}


async def test_another_account_cannot_see_or_change_a_subscription(
    billing_api: BillingApi, other_account: BillingApi
) -> None:
    await billing_api.plan()
    await other_account.plan()
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    await other_account.get(path, status=404)
    await other_account.patch(path, {"metadata": {}}, status=404)
    await other_account.post(f"{path}/cancel", {"cancel_mode": "now"}, status=404)
    await other_account.post(f"{path}/change-plan", {"target_plan_code": "pro", "change_mode": "now"}, status=404)
    body = {"customer_id": made["customer_id"], "plan_code": "pro"}
    await other_account.post("/v1/subscriptions", body, status=404)
    assert (await other_account.get("/v1/subscriptions"))["subscriptions"] == []


@on_every_ledger
async def test_concurrent_cancellations_are_applied_once(billing_api: BillingApi) -> None:
    """The others are refused."""
    await billing_api.plan()
    made = await billing_api.subscription()
    path = f"/v1/subscriptions/{made['id']}/cancel"
    racing = [billing_api.client.post(path, json={"cancel_mode": "now"}) for _ in range(6)]
    assert sorted(reply.status_code for reply in await asyncio.gather(*racing)) == [200] + [409] * 5
    entries = (await billing_api.get("/v1/audit", subject=made["id"]))["entries"]
    assert [entry["action"] for entry in entries].count("subscription.cancel") == 1
