"""Signup links: created by an administrator, used once by a customer."""

import asyncio
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from schemas.signup import LINK_LIFETIME
from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio

LINKS = "/v1/subscription-signup-links"
PRESSED = {"pressed": "yes"}


async def _link(billing_api: BillingApi, **fields: Any) -> dict[str, Any]:
    if "customer_id" not in fields:
        fields["customer_id"] = (await billing_api.customer())["id"]
    made = await billing_api.post(LINKS, {"plan_code": "pro"} | fields)
    link: dict[str, Any] = made["subscription_signup_link"]
    return link


async def _press(billing_api: BillingApi, link: dict[str, Any]) -> httpx.Response:
    return await billing_api.client.post(f"/subscribe/{link['token']}", data=PRESSED, headers={"authorization": ""})


@on_every_ledger
async def test_a_link_shows_its_token_once_and_stores_it_nowhere(billing_api: BillingApi, migrated_url: str) -> None:
    """The ledger has its hash, and no stored answer holds the token."""
    await billing_api.plan()
    customer = await billing_api.customer()
    body = {"customer_id": customer["id"], "plan_code": "pro"}
    link = (await billing_api.post(LINKS, body, idempotency_key="k1"))["subscription_signup_link"]
    assert link["url"] == f"https://bill.example/subscribe/{link['token']}"
    assert (link["plan_version"], link["expires_at"]) == (1, "2027-01-16T08:00:00Z")
    assert len(link["token"]) >= 32
    engine = create_engine(migrated_url)
    with engine.connect() as connection:
        for table in sa.inspect(engine).get_table_names():
            rows = connection.execute(sa.text(f"SELECT * FROM {table}")).all()
            assert link["token"] not in repr(rows)
    engine.dispose()
    again = await billing_api.post(LINKS, body, idempotency_key="k1", status=409)
    assert (again["error"]["code"], link["id"] in again["error"]["message"]) == ("SECRET_SHOWN_ONCE", True)


async def test_get_changes_nothing_and_the_button_subscribes(billing_api: BillingApi) -> None:
    """However often the page is read; a second press finds the link used."""
    await billing_api.plan(trial_days=14)
    link = await _link(billing_api, back_url="https://shop.example/plans")
    for _ in range(3):
        page = await billing_api.client.get(f"/subscribe/{link['token']}", headers={"authorization": ""})
        assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for text in ("<h1>Pro</h1>", "For Acme Corp", "20.00 USD every month, in advance", "first 14 days are free"):
        assert text in page.text
    assert 'href="https://shop.example/plans"' in page.text
    assert (await billing_api.client.head(f"/subscribe/{link['token']}")).status_code == 200
    assert (await billing_api.get("/v1/subscriptions"))["subscriptions"] == []
    done = await _press(billing_api, link)
    assert (done.status_code, "You are subscribed" in done.text) == (200, True)
    [made] = (await billing_api.get("/v1/subscriptions"))["subscriptions"]
    assert (made["customer_id"], made["status"]) == (link["customer_id"], "trialing")
    for gone in (await _press(billing_api, link), await billing_api.client.get(f"/subscribe/{link['token']}")):
        assert (gone.status_code, "used already" in gone.text) == (410, True)
    assert len((await billing_api.get("/v1/subscriptions"))["subscriptions"]) == 1


@on_every_ledger
async def test_concurrent_presses_subscribe_once(billing_api: BillingApi) -> None:
    """The others find the link used."""
    await billing_api.plan()
    link = await _link(billing_api)
    replies = await asyncio.gather(*(_press(billing_api, link) for _ in range(6)))
    assert sorted(reply.status_code for reply in replies) == [200] + [410] * 5
    assert len((await billing_api.get("/v1/subscriptions"))["subscriptions"]) == 1


async def test_a_link_is_valid_for_a_day(billing_api: BillingApi) -> None:
    """After that it shows nothing and does nothing."""
    await billing_api.plan()
    link = await _link(billing_api)
    billing_api.clock.now += LINK_LIFETIME
    for gone in (await _press(billing_api, link), await billing_api.client.get(f"/subscribe/{link['token']}")):
        assert (gone.status_code, "has expired" in gone.text) == (410, True)
    assert (await billing_api.get("/v1/subscriptions"))["subscriptions"] == []


async def test_the_customer_is_redirected_after_subscribing(billing_api: BillingApi) -> None:
    """To the given address, with any characters in it."""
    await billing_api.plan()
    link = await _link(billing_api, success_url="https://shop.example/danke?für=1&x=%20")
    done = await _press(billing_api, link)
    assert (done.status_code, done.headers["location"]) == (303, "https://shop.example/danke?f%C3%BCr=1&x=%20")


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"pressed=yes", {"content-type": "text/plain"}),
        (b'{"pressed": "yes"}', {"content-type": "application/json"}),
        (b"", {"content-type": "application/x-www-form-urlencoded"}),
        (b"pressed=yes", {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "cross-site"}),
    ],
)
async def test_only_the_page_s_own_button_subscribes(
    billing_api: BillingApi, content: bytes, headers: dict[str, str]
) -> None:
    """A form of another site, or a body that is no form, changes nothing."""
    await billing_api.plan()
    link = await _link(billing_api)
    reply = await billing_api.client.post(f"/subscribe/{link['token']}", content=content, headers=headers)
    assert reply.status_code == 400
    assert (await billing_api.client.put(f"/subscribe/{link['token']}", data=PRESSED)).status_code == 405
    long = await billing_api.client.post(f"/subscribe/{link['token']}", data=PRESSED | {"more": "x" * 5000})
    assert long.status_code == 413
    assert (await billing_api.get("/v1/subscriptions"))["subscriptions"] == []


async def test_texts_are_escaped_and_nothing_is_loaded_from_other_hosts(billing_api: BillingApi) -> None:
    """No script, whatever the name of a plan or customer."""
    attack = "<script>alert(1)</script>\"'"
    await billing_api.plan(name=attack, fixed_fees=[{"code": "a", "name": attack, "amount_cents": 1}])
    customer = await billing_api.customer(name=attack)
    link = await _link(billing_api, customer_id=customer["id"], back_url="https://x.example/\"'><script>")
    page = await billing_api.client.get(f"/subscribe/{link['token']}")
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (page.headers["referrer-policy"], page.headers["x-robots-tag"]) == ("no-referrer", "noindex")


@pytest.mark.parametrize(
    ("success_url", "leads_to"),
    [
        ("https://acme.example:8443/thanks?x=1", "'self' https://acme.example:8443"),
        ("https://acme.example;script-src/*", "'self' https: http:"),
        (None, "'self'"),
    ],
)
async def test_the_form_leads_to_the_page_and_to_the_success_url_alone(
    billing_api: BillingApi, success_url: str | None, leads_to: str
) -> None:
    """Browsers hold the redirect after the form to the same policy; no URL can add to the policy."""
    await billing_api.plan()
    customer = await billing_api.customer()
    link = await _link(billing_api, customer_id=customer["id"], success_url=success_url)
    policy = (await billing_api.client.get(f"/subscribe/{link['token']}")).headers["content-security-policy"]
    assert f"; form-action {leads_to}; " in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy


async def test_a_pending_subscription_is_activated(billing_api: BillingApi) -> None:
    """At its own price; no second subscription is created."""
    await billing_api.plan()
    made = await billing_api.subscription(initial_status="pending", overrides={"fees": {"platform": 1234}})
    link = await _link(billing_api, customer_id=made["customer_id"])
    assert "12.34 USD" in (await billing_api.client.get(f"/subscribe/{link['token']}")).text
    assert (await _press(billing_api, link)).status_code == 200
    [found] = (await billing_api.get("/v1/subscriptions"))["subscriptions"]
    assert (found["id"], found["status"]) == (made["id"], "active")


@pytest.mark.parametrize(("mode", "status"), [("now", "active"), ("end_of_period", "pending")])
async def test_a_link_can_change_the_plan(billing_api: BillingApi, mode: str, status: str) -> None:
    """Of the subscription that it names, now or later."""
    await billing_api.plan()
    await billing_api.plan("team")
    made = await billing_api.subscription()
    link = await _link(
        billing_api,
        customer_id=made["customer_id"],
        plan_code="team",
        previous_subscription_id=made["id"],
        change_timing_mode=mode,
    )
    assert "Change plan" in (await billing_api.client.get(f"/subscribe/{link['token']}")).text
    assert (await _press(billing_api, link)).status_code == 200
    new = (await billing_api.get("/v1/subscriptions"))["subscriptions"]
    assert {(one["plan_code"], one["status"]) for one in new} >= {("team", status)}


async def test_an_offer_that_is_no_longer_possible_leaves_the_link_unused(billing_api: BillingApi) -> None:
    """Nothing is changed; the page tells the customer to contact the sender."""
    await billing_api.plan()
    link = await _link(billing_api)
    made = await billing_api.subscription(customer_id=link["customer_id"])
    refused = await _press(billing_api, link)
    assert (refused.status_code, "Nothing was changed" in refused.text) == (409, True)
    await billing_api.post(f"/v1/subscriptions/{made['id']}/cancel", {"cancel_mode": "now"}, status=200)
    assert (await _press(billing_api, link)).status_code == 200


async def test_the_price_shown_is_the_price_paid(billing_api: BillingApi) -> None:
    """Even if a new version is published in between."""
    await billing_api.plan()
    link = await _link(billing_api)
    await billing_api.post("/v1/plans/pro/versions", {"currency": "USD", "interval": "month"})
    assert "20.00 USD" in (await billing_api.client.get(f"/subscribe/{link['token']}")).text
    await _press(billing_api, link)
    [made] = (await billing_api.get("/v1/subscriptions"))["subscriptions"]
    assert made["plan_version"] == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"customer_id": "cnobody"}, 404),
        ({"plan_code": "nothing"}, 404),
        ({"success_url": "javascript:alert(1)"}, 400),
        ({"change_timing_mode": "now"}, 400),
        ({"previous_subscription_id": "cnothing"}, 400),
        ({"previous_subscription_id": "cnothing", "change_timing_mode": "now"}, 404),
        ({"cancel_now_prepaid_refund_policy": "none"}, 400),
    ],
)
async def test_an_invalid_link_is_refused_with_a_reason(
    billing_api: BillingApi, fields: dict[str, Any], status: int
) -> None:
    await billing_api.plan()
    customer = await billing_api.customer()
    body = {"customer_id": customer["id"], "plan_code": "pro"} | fields
    error = (await billing_api.post(LINKS, body, status=status))["error"]
    named = [*fields, *map(str, fields.values())]
    assert any(name in error["message"] for name in named), error


async def test_a_link_belongs_to_one_customer_and_account(billing_api: BillingApi, other_account: BillingApi) -> None:
    """It cannot change the subscription of another customer; an invalid token shows nothing."""
    await billing_api.plan()
    await other_account.plan()
    theirs = await billing_api.subscription()
    customer = await billing_api.customer()
    fields = {"previous_subscription_id": theirs["id"], "change_timing_mode": "now", "plan_code": "pro"}
    await billing_api.post(LINKS, fields | {"customer_id": customer["id"]}, status=400)
    await other_account.post(LINKS, fields | {"customer_id": theirs["customer_id"]}, status=404)
    for guess in ("x", theirs["id"], "%00"):
        reply = await billing_api.client.get(f"/subscribe/{guess}")
        assert (reply.status_code, "There is no offer" in reply.text) == (404, True)


async def test_every_price_model_is_described_in_words(billing_api: BillingApi) -> None:
    """Tier by tier."""
    await billing_api.meter()
    tiers = [{"up_to": "100", "unit_price": "0.5", "flat_fee": "3"}, {"unit_price": "0.25"}]
    models: dict[str, dict[str, Any]] = {
        "flat": {"amount": "7.5", "minimum": "1"},
        "per_unit": {"unit_price": "0.0000001", "maximum": "9", "percent_discount": "10"},
        "graduated": {"tiers": tiers},
        "volume": {"tiers": tiers, "usage_discount": "5"},
        "package": {"package_size": "1000", "package_price": "2", "free_units": "50"},
    }
    prices = [
        {"code": model, "name": model.title(), "meter": "calls", "price": {"model": model} | terms}
        for model, terms in models.items()
    ]
    await billing_api.plan(usage_prices=prices, interval_count=3, fixed_fees=[])
    page = (await billing_api.client.get(f"/subscribe/{(await _link(billing_api))['token']}")).text
    for text in (
        "7.5 USD every 3 months",
        "at least 1 USD every 3 months",
        "0.0000001 USD a unit",
        "less 10 %",
        "at most 9 USD",
        "up to 100: 0.5 USD a unit of these, and 3 USD",
        "above 100: 0.25 USD a unit of all",
        "5 units are included",
        "2 USD for each 1000 units",
        "the first 50 units are free",
    ):
        assert text in page
