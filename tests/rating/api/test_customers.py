"""Customers over the API: stored as given, invalid fields named, invisible to other accounts."""

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
async def test_every_field_is_returned_as_given(billing_api: BillingApi) -> None:
    """By create, get, list and search."""
    made = (await billing_api.post("/v1/customers", WHOLE))["customer"]
    assert {name: made[name] for name in WHOLE} == WHOLE
    assert made["id"].startswith("c")
    assert len(made["id"]) == 25
    assert made["created_at"] == made["updated_at"]
    assert (await billing_api.get(f"/v1/customers/{made['id']}"))["customer"] == made
    assert (await billing_api.get("/v1/customers"))["customers"] == [made]
    assert (await billing_api.get("/v1/customers/search", external_id="cust_123"))["customers"] == [made]


async def test_no_field_is_required(billing_api: BillingApi) -> None:
    """An absent field is null or empty in the response."""
    made = (await billing_api.post("/v1/customers", {}))["customer"]
    assert made.keys() >= WHOLE.keys()
    assert made["name"] is None
    assert made["metadata"] == {}


async def test_only_given_fields_change(billing_api: BillingApi) -> None:
    """Null clears a field, absence keeps it, and `updated_at` is set."""
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
async def test_an_invalid_field_is_named(billing_api: BillingApi, body: dict[str, Any], field: str, says: str) -> None:
    """With the expected value."""
    error = (await billing_api.post("/v1/customers", body, status=400))["error"]
    assert error["code"] == "VALIDATION_ERROR"
    details = error["details"]
    found = details[0] if isinstance(details, list) else details
    assert found["field"] == field
    assert says in error["message"]


async def test_all_errors_are_reported_together(billing_api: BillingApi) -> None:
    error = (await billing_api.post("/v1/customers", {"name": 5, "phone": 6, "typo": 7}, status=400))["error"]
    assert [mistake["field"] for mistake in error["details"]] == ["typo", "name", "phone"]


@on_every_ledger
async def test_an_external_id_is_unique_in_an_account(billing_api: BillingApi, other_account: BillingApi) -> None:
    """On creation, on change, and with concurrent requests."""
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


async def test_pages_are_stable_while_customers_are_added(billing_api: BillingApi) -> None:
    """Every customer that existed at the start is listed once, newest first."""
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
async def test_search_is_exact_and_needs_a_criterion(billing_api: BillingApi) -> None:
    """All given criteria must match."""
    made = await billing_api.customer(name="Ann", email="ann@x.io")
    await billing_api.customer(name="Anna", email="ann@x.io")
    assert (await billing_api.get("/v1/customers/search", name="Ann", email="ann@x.io"))["customers"] == [made]
    assert (await billing_api.get("/v1/customers/search", name="Ann", email="other@x.io"))["customers"] == []
    await billing_api.get("/v1/customers/search", status=400)
    error = (await billing_api.get("/v1/customers/search", status=400, nam="Ann"))["error"]
    assert "did you mean name?" in error["message"]


async def test_a_customer_that_was_never_billed_can_be_deleted(billing_api: BillingApi) -> None:
    """Its external id is free again."""
    made = await billing_api.customer(external_id="gone")
    assert (await billing_api.delete(f"/v1/customers/{made['id']}"))["deleted"] is True
    await billing_api.get(f"/v1/customers/{made['id']}", status=404)
    await billing_api.delete(f"/v1/customers/{made['id']}", status=404)
    await billing_api.customer(external_id="gone")


async def test_a_customer_with_invoices_or_subscriptions_cannot_be_deleted(billing_api: BillingApi) -> None:
    """The error says why; canceled subscriptions count."""
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


async def test_another_account_cannot_see_or_change_a_customer(
    billing_api: BillingApi, other_account: BillingApi
) -> None:
    made = await billing_api.customer(name="secret")
    path = f"/v1/customers/{made['id']}"
    await other_account.get(path, status=404)
    await other_account.patch(path, {"name": "mine"}, status=404)
    await other_account.delete(path, status=404)
    assert (await other_account.get("/v1/customers"))["customers"] == []
    assert (await billing_api.get(path))["customer"] == made
