"""Customers over the API: what is given comes back, what is wrong is told, what is someone else's is not there."""

import asyncio
from typing import Any

import pytest

from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger, on_sqlite

pytestmark = pytest.mark.anyio

WHOLE: dict[str, Any] = {
    "name": "Acme Corp",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "billing@acme.com",
    "phone": "+49 30 1234",
    "url": "https://acme.com/",
    "external_id": "cust_123",
    "billing_address": {
        "country": "DE",
        "line1": "Allee 1",
        "line2": None,
        "city": "Berlin",
        "state": None,
        "postal_code": "10115",
    },
    "shipping_address": None,
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "tax_rates": [{"name": "VAT", "percent": "19"}],
    "net_terms": 14,
    "locale": "de-DE",
    "email_recipients": ["cfo@acme.com"],
    "metadata": {"tier": "gold"},
}


@on_every_ledger
async def test_what_is_given_comes_back(billing_api: BillingApi) -> None:
    """Every field, from the creation on, by get, list and search."""
    made = (await billing_api.post("/v1/customers", WHOLE))["customer"]
    assert {name: made[name] for name in WHOLE} == WHOLE
    assert made["id"].startswith("c")
    assert len(made["id"]) == 25
    assert made["created_at"] == made["updated_at"]
    assert (await billing_api.get(f"/v1/customers/{made['id']}"))["customer"] == made
    assert (await billing_api.get("/v1/customers"))["customers"] == [made]
    assert (await billing_api.get("/v1/customers/search", external_id="cust_123"))["customers"] == [made]


async def test_nothing_is_required(billing_api: BillingApi) -> None:
    """What is not given is null, or empty, and still there."""
    made = (await billing_api.post("/v1/customers", {}))["customer"]
    assert made.keys() >= WHOLE.keys()
    assert made["name"] is None
    assert made["metadata"] == {}


async def test_only_what_is_given_changes(billing_api: BillingApi) -> None:
    """Null clears, absence keeps, and the time of the change is told."""
    made = (await billing_api.post("/v1/customers", WHOLE))["customer"]
    billing_api.clock.now += 1_000_000
    changed = (await billing_api.patch(f"/v1/customers/{made['id']}", {"name": "Acme Ltd", "email": None}))["customer"]
    assert changed["updated_at"] > made["updated_at"]
    assert changed == made | {"name": "Acme Ltd", "email": None, "updated_at": changed["updated_at"]}


@on_sqlite
@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"nmae": "x"}, "nmae", "did you mean name?"),
        ({"name": 5}, "name", "expected str | null, got int"),
        ({"name": "x" * 256}, "name", "length <= 255"),
        ({"name": "a\x00b"}, "name", "matching regex"),
        ({"billing_address": {"contry": "DE"}}, "billing_address.contry", "did you mean country?"),
        ({"billing_address": {"country": "Germany"}}, "billing_address.country", "matching regex"),
        ({"tax_rates": [{"name": "VAT"}]}, "tax_rates[0]", "missing required field"),
        ({"tax_rates": [{"name": "VAT", "percent": "101"}]}, "tax_rates[0].percent", "expected 0 to 100"),
        ({"timezone": "Mars/Olympus"}, "timezone", "'Mars/Olympus' is not a known time zone"),
        ({"currency": "ZZZ"}, "currency", "is no ISO 4217 currency code"),
        ({"metadata": {"a": 1}}, "metadata[...]", "expected str, got int"),
        ({"metadata": {"k" * 41: ""}}, "metadata", "a key: expected str of length <= 40"),
        ({"metadata": {"k": "v" * 501}}, "metadata[...]", "expected str of length <= 500"),
        ({"metadata": {str(number): "" for number in range(51)}}, "metadata", "expected object of length <= 50"),
        ({"email": "nobody"}, "email", "matching regex"),
    ],
)
async def test_a_wrong_field_is_named(billing_api: BillingApi, body: dict[str, Any], field: str, says: str) -> None:
    """With what was expected there."""
    error = (await billing_api.post("/v1/customers", body, status=400))["error"]
    assert error["code"] == "VALIDATION_ERROR"
    details = error["details"]
    found = details[0] if isinstance(details, list) else details
    assert found["field"] == field
    assert says in error["message"]


async def test_all_mistakes_are_told_at_once(billing_api: BillingApi) -> None:
    """Nobody should have to find them one by one."""
    error = (await billing_api.post("/v1/customers", {"name": 5, "phone": 6, "typo": 7}, status=400))["error"]
    assert [mistake["field"] for mistake in error["details"]] == ["typo", "name", "phone"]


@on_every_ledger
async def test_an_external_id_is_one_customer_s(billing_api: BillingApi, other_account: BillingApi) -> None:
    """Within an account; by creation, by change, and by two at once."""
    first = await billing_api.customer(external_id="one")
    error = (await billing_api.post("/v1/customers", {"external_id": "one"}, status=409))["error"]
    assert error["code"] == "EXTERNAL_ID_TAKEN"
    assert first["id"] in error["message"]
    second = await billing_api.customer(external_id="two")
    await billing_api.patch(f"/v1/customers/{second['id']}", {"external_id": "one"}, status=409)
    await billing_api.patch(f"/v1/customers/{second['id']}", {"external_id": "two"})
    await other_account.customer(external_id="one")
    racing = [billing_api.client.post("/v1/customers", json={"external_id": "three"}) for _ in range(8)]
    assert sorted(reply.status_code for reply in await asyncio.gather(*racing)) == [201] + [409] * 7


async def test_pages_stay_whole_while_customers_are_added(billing_api: BillingApi) -> None:
    """Every customer that was there is listed once, newest first."""
    ids = []
    for number in range(7):
        billing_api.clock.now += 1_000
        ids.append((await billing_api.customer(name=f"customer {number}"))["id"])
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await billing_api.get("/v1/customers", limit=3, cursor=cursor or "")
        seen += [customer["id"] for customer in page["customers"]]
        cursor = page["pagination"]["next_cursor"]
        assert page["pagination"]["has_more"] == (cursor is not None)
        if cursor is None:
            break
        billing_api.clock.now += 1_000
        await billing_api.customer(name="late")
    assert seen == ids[::-1]


@on_every_ledger
async def test_search_is_exact_and_asks_for_something(billing_api: BillingApi) -> None:
    """All that is given must match; nothing given is refused."""
    made = await billing_api.customer(name="Ann", email="ann@x.io")
    await billing_api.customer(name="Anna", email="ann@x.io")
    assert (await billing_api.get("/v1/customers/search", name="Ann", email="ann@x.io"))["customers"] == [made]
    assert (await billing_api.get("/v1/customers/search", name="Ann", email="other@x.io"))["customers"] == []
    await billing_api.get("/v1/customers/search", status=400)
    error = (await billing_api.get("/v1/customers/search", status=400, nam="Ann"))["error"]
    assert "did you mean name?" in error["message"]


async def test_a_customer_that_was_never_billed_can_go(billing_api: BillingApi) -> None:
    """For good: its id is nobody's, and its external id is free again."""
    made = await billing_api.customer(external_id="gone")
    assert (await billing_api.delete(f"/v1/customers/{made['id']}"))["deleted"] is True
    await billing_api.get(f"/v1/customers/{made['id']}", status=404)
    await billing_api.delete(f"/v1/customers/{made['id']}", status=404)
    await billing_api.customer(external_id="gone")


async def test_who_was_billed_or_has_subscribed_stays(billing_api: BillingApi) -> None:
    """It is told why; what was void or is over is still in the books."""
    await billing_api.plan()
    billed, subscribed = await billing_api.customer(), await billing_api.customer()
    invoice = (await billing_api.post("/v1/invoices", {"customer_id": billed["id"], "line_items": []}))["invoice"]
    made = await billing_api.subscription(customer_id=subscribed["id"])
    await billing_api.post(f"/v1/subscriptions/{made['id']}/cancel", {"cancel_mode": "now"}, status=200)
    for customer, what in ((billed, "invoices"), (subscribed, "subscriptions")):
        error = (await billing_api.delete(f"/v1/customers/{customer['id']}", status=409))["error"]
        assert (error["code"], f"has {what}: books are kept" in error["message"]) == ("CUSTOMER_IN_USE", True)
    await billing_api.delete(f"/v1/invoices/{invoice['id']}")
    await billing_api.delete(f"/v1/customers/{billed['id']}")


async def test_another_account_s_customer_is_not_there(billing_api: BillingApi, other_account: BillingApi) -> None:
    """Not to be seen, changed or deleted."""
    made = await billing_api.customer(name="secret")
    path = f"/v1/customers/{made['id']}"
    await other_account.get(path, status=404)
    await other_account.patch(path, {"name": "mine"}, status=404)
    await other_account.delete(path, status=404)
    assert (await other_account.get("/v1/customers"))["customers"] == []
    assert (await billing_api.get(path))["customer"] == made
