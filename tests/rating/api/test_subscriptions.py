"""Subscriptions over HTTP: made, listed, changed and ended, as their states allow."""

import asyncio
from typing import Any

import pytest

from schemas.timestamps import DAY
from tests.rating.api.conftest import Office

pytestmark = pytest.mark.anyio

NOW = "2027-01-15T08:00:00Z"


async def test_a_subscription_begins_now_and_renews_on_the_first(office: Office) -> None:
    """Unless it is told otherwise; what it is made with is what is shown."""
    await office.plan()
    made = await office.subscription(metadata={"seat": "1"})
    assert (made["status"], made["plan_code"], made["plan_version"], made["timezone"]) == ("active", "pro", 1, "UTC")
    assert (made["start_date"], made["current_period_start"]) == (NOW, NOW)
    assert made["current_period_end"] == made["next_renewal_date"] == "2027-02-01T00:00:00Z"
    assert (made["billing_anchor_day"], made["metadata"]) == (1, {"seat": "1"})
    assert made["overrides"] == {"fees": {}, "prices": {}}
    for absent in ("trial_end", "cancel_at", "canceled_at", "ended_at", "previous_subscription_id"):
        assert made[absent] is None
    assert (await office.get(f"/v1/subscriptions/{made['id']}"))["subscription"] == made


async def test_a_pending_one_has_no_period_until_it_is_activated(office: Office) -> None:
    """It begins at that moment: nothing is billed for the time before."""
    await office.plan()
    made = await office.subscription(initial_status="pending", start_date="2027-01-10T00:00:00Z")
    assert (made["status"], made["start_date"]) == ("pending", "2027-01-10T00:00:00Z")
    assert (made["current_period_start"], made["current_period_end"], made["next_renewal_date"]) == (None, None, None)
    office.clock.now += DAY
    begun = (await office.patch(f"/v1/subscriptions/{made['id']}", {"status": "active"}))["subscription"]
    assert (begun["status"], begun["start_date"]) == ("active", "2027-01-16T08:00:00Z")
    assert begun["current_period_end"] == "2027-02-01T00:00:00Z"


async def test_boundaries_are_midnights_of_the_customer_s_zone(office: Office) -> None:
    """The 31st is the last day of a shorter month."""
    await office.plan()
    customer = await office.customer(timezone="America/New_York")
    made = await office.subscription(
        customer_id=customer["id"], billing_anchor_day=31, start_date="2027-02-10T12:00:00Z"
    )
    assert (made["timezone"], made["current_period_end"]) == ("America/New_York", "2027-02-28T05:00:00Z")


async def test_a_trial_is_the_first_period(office: Office) -> None:
    """The plan's, unless the subscription has one of its own."""
    await office.plan(trial_days=14)
    made = await office.subscription()
    assert (made["status"], made["trial_end"]) == ("trialing", "2027-01-29T08:00:00Z")
    assert made["current_period_end"] == made["trial_end"]
    assert (await office.subscription(trial_days=0))["status"] == "active"
    over = await office.subscription(start_date="2027-01-01T00:00:00Z")
    assert (over["status"], over["current_period_start"]) == ("active", "2027-01-15T00:00:00Z")


async def test_prices_can_be_a_subscription_s_own(office: Office) -> None:
    """By the codes that the plan has."""
    await office.meter()
    price = {"code": "calls", "name": "Calls", "meter": "calls", "price": {"model": "per_unit", "unit_price": "1"}}
    await office.plan(usage_prices=[price])
    own = {"fees": {"platform": 1500}, "prices": {"calls": {"model": "per_unit", "unit_price": "0.0000001"}}}
    made = await office.subscription(overrides=own)
    assert made["overrides"]["fees"] == {"platform": 1500}
    assert made["overrides"]["prices"]["calls"]["unit_price"] == "0.0000001"
    path = f"/v1/subscriptions/{made['id']}"
    assert (await office.patch(path, {"overrides": {}}))["subscription"]["overrides"]["fees"] == {}
    error = (await office.patch(path, {"overrides": {"fees": {"platfrom": 1}}}, status=400))["error"]
    assert "it has platform" in error["message"]
    unknown = {"prices": {"calls": {"model": "per_unit", "unit_price": "1", "unit": 2}}}
    error = (await office.patch(path, {"overrides": unknown}, status=400))["error"]
    assert error["details"][0]["field"] == "overrides.prices.calls.unit"
    wrong = {"prices": {"calls": {"model": "per_unit", "unit_price": "-1"}}}
    error = (await office.patch(path, {"overrides": wrong}, status=400))["error"]
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
async def test_what_cannot_be_subscribed_to_is_refused(
    office: Office, fields: dict[str, Any], status: int, code: str
) -> None:
    """With why; and nothing is kept."""
    await office.plan()
    await office.plan("draft", draft=True)
    await office.plan("euro", currency="EUR")
    await office.plan("gone")
    await office.delete("/v1/plans/gone")
    customer = await office.customer(currency="USD")
    body = {"customer_id": customer["id"], "plan_code": "pro"} | fields
    assert (await office.post("/v1/subscriptions", body, status=status))["error"]["code"] == code
    assert (await office.get("/v1/subscriptions"))["subscriptions"] == []


async def test_a_customer_subscribes_to_a_plan_once_at_a_time(office: Office) -> None:
    """However many ask at once; after the end it may begin anew."""
    await office.plan()
    customer = await office.customer()
    body = {"customer_id": customer["id"], "plan_code": "pro"}
    racing = [office.client.post("/v1/subscriptions", json=body) for _ in range(6)]
    replies = sorted(await asyncio.gather(*racing), key=lambda reply: reply.status_code)
    assert [reply.status_code for reply in replies] == [201] + [409] * 5
    assert replies[-1].json()["error"]["code"] == "SUBSCRIPTION_EXISTS"
    made = replies[0].json()["subscription"]
    await office.post(f"/v1/subscriptions/{made['id']}/cancel", {"cancel_mode": "now"}, status=200)
    await office.post("/v1/subscriptions", body)


async def test_listing_filters_by_customer_and_status(office: Office) -> None:
    """Newest first, in pages."""
    await office.plan()
    first = await office.subscription()
    office.clock.now += 1_000
    second = await office.subscription(initial_status="pending")
    assert (await office.get("/v1/subscriptions"))["subscriptions"] == [second, first]
    assert (await office.get("/v1/subscriptions?status=active"))["subscriptions"] == [first]
    found = await office.get("/v1/subscriptions", customer_id=second["customer_id"])
    assert found["subscriptions"] == [second]
    page = await office.get("/v1/subscriptions", limit=1)
    assert page["pagination"] == {"has_more": True, "next_cursor": second["id"]}


async def test_the_anchor_day_moves_the_next_boundary_but_one(office: Office) -> None:
    """The current period ends as it was going to."""
    await office.plan()
    made = await office.subscription()
    changed = (await office.patch(f"/v1/subscriptions/{made['id']}", {"billing_anchor_day": 15}))["subscription"]
    assert (changed["billing_anchor_day"], changed["current_period_end"]) == (15, made["current_period_end"])


async def test_the_next_renewal_can_be_brought_forward(office: Office) -> None:
    """Within the calendar's period, and back to its end."""
    await office.plan()
    made = await office.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    sooner = (await office.patch(path, {"next_renewal_date": "2027-01-20T00:00:00Z"}))["subscription"]
    assert sooner["current_period_end"] == sooner["next_renewal_date"] == "2027-01-20T00:00:00Z"
    for wrong in ("2027-01-15T08:00:00Z", "2027-02-01T00:00:01Z"):
        error = (await office.patch(path, {"next_renewal_date": wrong}, status=400))["error"]
        assert "at most 2027-02-01T00:00:00Z" in error["message"]
    back = (await office.patch(path, {"next_renewal_date": None}))["subscription"]
    assert back["next_renewal_date"] == "2027-02-01T00:00:00Z"


async def test_canceled_now_is_over(office: Office) -> None:
    """And nothing can be done with it any more."""
    await office.plan()
    made = await office.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    asked = {"cancel_mode": "now", "cancel_now_prepaid_refund_policy": "prorate"}
    over = (await office.post(f"{path}/cancel", asked, status=200))["subscription"]
    assert (over["status"], over["canceled_at"], over["ended_at"], over["next_renewal_date"]) == (
        "canceled",
        NOW,
        NOW,
        None,
    )
    change = {"target_plan_code": "pro", "change_mode": "now"}
    for refused in (
        await office.post(f"{path}/cancel", asked, status=409),
        await office.post(f"{path}/cancel", {"cancel_mode": "end_of_period"}, status=409),
        await office.patch(path, {"status": "active"}, status=409),
        await office.patch(path, {"status": "canceled"}, status=409),
        await office.patch(path, {"billing_anchor_day": 2}, status=409),
        await office.patch(path, {"next_renewal_date": None}, status=409),
    ):
        assert refused["error"]["code"] == "INVALID_TRANSITION"
        assert "the subscription is canceled" in refused["error"]["message"]
    await office.post(f"{path}/change-plan", change, status=409)
    await office.patch(path, {"metadata": {"why": "moved"}})


async def test_a_cancellation_at_the_end_of_the_period_can_be_called_off(office: Office) -> None:
    """Until then it is active, and says when it ends."""
    await office.plan()
    made = await office.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    ending = (await office.post(f"{path}/cancel", {"cancel_mode": "end_of_period"}, status=200))["subscription"]
    assert (ending["status"], ending["cancel_at"], ending["next_renewal_date"]) == (
        "active",
        made["current_period_end"],
        None,
    )
    assert (ending["canceled_at"], ending["ended_at"]) == (NOW, None)
    again = await office.post(f"{path}/cancel", {"cancel_mode": "end_of_period"}, status=409)
    assert again["error"]["code"] == "CANCEL_SCHEDULED"
    await office.patch(path, {"next_renewal_date": None}, status=409)
    kept = (await office.patch(path, {"status": "active"}))["subscription"]
    assert (kept["cancel_at"], kept["canceled_at"], kept["next_renewal_date"]) == (
        None,
        None,
        made["next_renewal_date"],
    )


async def test_a_refused_transition_says_what_is_possible(office: Office) -> None:
    """By name, for people and for machines."""
    await office.plan()
    made = await office.subscription(initial_status="pending")
    error = (await office.post(f"/v1/subscriptions/{made['id']}/cancel", {"cancel_mode": "end_of_period"}, status=409))[
        "error"
    ]
    assert error["details"] == {"status": "pending", "possible": ["begun with a trial", "activated", "canceled"]}
    error = (await office.patch(f"/v1/subscriptions/{made['id']}", {"status": "trialing"}, status=409))["error"]
    assert "is pending, so it cannot be made trialing" in error["message"]


async def test_a_refund_policy_belongs_to_an_end_now(office: Office) -> None:
    """At the end of a period nothing is left to give back."""
    await office.plan()
    made = await office.subscription()
    asked = {"cancel_mode": "end_of_period", "cancel_now_prepaid_refund_policy": "none"}
    error = (await office.post(f"/v1/subscriptions/{made['id']}/cancel", asked, status=400))["error"]
    assert error["details"] == {"field": "cancel_now_prepaid_refund_policy"}


async def test_another_account_s_subscription_is_not_there(office: Office, stranger: Office) -> None:
    """Not to be seen, changed, ended or moved."""
    await office.plan()
    await stranger.plan()
    made = await office.subscription()
    path = f"/v1/subscriptions/{made['id']}"
    await stranger.get(path, status=404)
    await stranger.patch(path, {"metadata": {}}, status=404)
    await stranger.post(f"{path}/cancel", {"cancel_mode": "now"}, status=404)
    await stranger.post(f"{path}/change-plan", {"target_plan_code": "pro", "change_mode": "now"}, status=404)
    body = {"customer_id": made["customer_id"], "plan_code": "pro"}
    await stranger.post("/v1/subscriptions", body, status=404)
    assert (await stranger.get("/v1/subscriptions"))["subscriptions"] == []


async def test_cancelling_at_once_is_done_once(office: Office) -> None:
    """The rest are told that it is over."""
    await office.plan()
    made = await office.subscription()
    path = f"/v1/subscriptions/{made['id']}/cancel"
    racing = [office.client.post(path, json={"cancel_mode": "now"}) for _ in range(6)]
    assert sorted(reply.status_code for reply in await asyncio.gather(*racing)) == [200] + [409] * 5
    entries = (await office.get("/v1/audit", subject=made["id"]))["entries"]
    assert [entry["action"] for entry in entries].count("subscription.cancel") == 1
