"""Drafts over the API: created, changed, listed, deleted; responses fit the published schemas."""

from typing import Any

import pytest

from tests.rating.api.billing_api import BillingApi
from tests.rating.api.invoice_steps import CALLS, VAT, create_draft
from tests.rating.api.published_schemas import assert_fits
from tests.rating.ledger.fixtures import on_every_ledger, on_sqlite

pytestmark = pytest.mark.anyio


@on_every_ledger
async def test_the_published_example_works(billing_api: BillingApi) -> None:
    """A draft of one line, as in the quick start of the compatible API."""
    customer = await billing_api.customer(external_id="cust_123")
    body = {
        "customer_id": customer["id"],
        "collection_method": "send_invoice",
        "days_until_due": 30,
        "line_items": [{"description": "API calls — Jan 2024", "quantity": 1, "unit_amount_cents": 5000}],
    }
    reply = await billing_api.post("/v1/invoices", body)
    assert_fits(reply, "InvoiceResponse")
    invoice = reply["invoice"]
    assert (invoice["status"], invoice["total_cents"], invoice["currency"]) == ("draft", 5000, "USD")
    assert invoice["line_items"][0]["description"] == "API calls — Jan 2024"
    assert (invoice["invoice_number"], invoice["public_invoice_url"], invoice["finalized_at"]) == (None, None, None)
    read = await billing_api.get(f"/v1/invoices/{invoice['id']}")
    assert_fits(read, "InvoiceResponse")
    assert read["invoice"] == invoice
    listed = await billing_api.get("/v1/invoices")
    assert_fits(listed, "InvoiceListResponse")
    assert listed["invoices"] == [invoice]


async def test_errors_fit_the_published_schema(billing_api: BillingApi) -> None:
    """With any status."""
    assert_fits(await billing_api.get("/v1/invoices/nobody", status=404), "ErrorResponse")
    assert_fits(await billing_api.post("/v1/invoices", {}, status=400), "ErrorResponse")
    assert_fits(await billing_api.post("/v1/invoices", {"customer_id": "nobody"}, status=404), "ErrorResponse")


async def test_discount_and_tax_add_up(billing_api: BillingApi) -> None:
    """The worked example: two rates, a discount spread over both lines, tax rounded once for each rate."""
    lines = [
        {"unit_amount_cents": 6120, "tax_rates": [{"name": "low", "percent": "8"}]},
        {"unit_amount_cents": 1880, "tax_rates": [{"name": "high", "percent": "21"}]},
    ]
    invoice = await create_draft(billing_api, *lines, discount={"type": "percent", "percent": "15"})
    assert (invoice["subtotal_cents"], invoice["discount_cents"]) == (8000, 1200)
    assert (invoice["tax_cents"], invoice["total_cents"]) == (752, 7552)
    assert [line["discount_amount_cents"] for line in invoice["line_items"]] == [918, 282]
    assert [line["tax_amount_cents"] for line in invoice["line_items"]] == [416, 336]
    assert [line["total_amount_cents"] for line in invoice["line_items"]] == [6536, 2216]
    assert invoice["tax_rates"] == [
        {"name": "low", "percent": "8", "taxable_cents": 5202, "tax_cents": 416},
        {"name": "high", "percent": "21", "taxable_cents": 1598, "tax_cents": 336},
    ]


async def test_currency_and_tax_rates_default_to_the_customer_s(billing_api: BillingApi) -> None:
    """A line may have tax rates of its own."""
    customer = await billing_api.customer(currency="JPY", tax_rates=VAT)
    lines = ({"unit_amount_cents": 1000}, {"unit_amount_cents": 1000, "tax_rates": []})
    invoice = await create_draft(billing_api, *lines, customer_id=customer["id"])
    assert invoice["currency"] == "JPY"
    assert [line["tax_amount_cents"] for line in invoice["line_items"]] == [190, 0]
    assert [line["tax_rates"] for line in invoice["line_items"]] == [VAT, []]


async def test_every_change_of_a_line_recalculates_the_invoice(billing_api: BillingApi) -> None:
    """Lines keep their order and ids."""
    customer = await billing_api.customer(tax_rates=VAT)
    invoice = await create_draft(billing_api, customer_id=customer["id"])
    path = f"/v1/invoices/{invoice['id']}"
    billing_api.clock.now += 1_000_000
    more = {"description": "Seats", "quantity": 3, "unit_amount_cents": 700, "period_start": "2026-11-01T00:00:00Z"}
    added = (await billing_api.post(f"{path}/line-items", more))["invoice"]
    assert (added["subtotal_cents"], added["tax_cents"], added["total_cents"]) == (7100, 1349, 8449)
    first, second = added["line_items"]
    assert first == invoice["line_items"][0]
    assert second["period_start"] == "2026-11-01T00:00:00Z"
    changed = (await billing_api.patch(f"{path}/line-items/{first['id']}", {"quantity": 2, "tax_rates": []}))["invoice"]
    assert (changed["subtotal_cents"], changed["tax_cents"], changed["total_cents"]) == (12100, 399, 12499)
    assert changed["line_items"][0]["description"] == "API calls"
    assert changed["line_items"][0]["updated_at"] > first["updated_at"]
    fewer = (await billing_api.delete(f"{path}/line-items/{first['id']}"))["invoice"]
    assert [line["id"] for line in fewer["line_items"]] == [second["id"]]
    assert (await billing_api.get(path))["invoice"] == fewer
    await billing_api.delete(f"{path}/line-items/{first['id']}", status=404)
    await billing_api.patch(f"{path}/line-items/{first['id']}", {}, status=404)


async def test_only_given_fields_of_a_draft_change(billing_api: BillingApi) -> None:
    """Null clears a field; a due date replaces days until due."""
    invoice = await create_draft(
        billing_api, days_until_due=14, customer_memo="Thanks", discount={"type": "fixed", "amount_cents": 9}
    )
    path = f"/v1/invoices/{invoice['id']}"
    assert (invoice["discount_cents"], invoice["days_until_due"]) == (9, 14)
    body = {"due_date": "2027-01-01T00:00:00+01:00", "customer_memo": None, "metadata": {"a": "b"}, "discount": None}
    changed = (await billing_api.patch(path, body))["invoice"]
    assert (changed["due_date"], changed["days_until_due"]) == ("2026-12-31T23:00:00Z", None)
    assert (changed["customer_memo"], changed["metadata"], changed["discount_cents"]) == (None, {"a": "b"}, 0)
    assert changed["total_cents"] == 5000


async def test_a_period_does_not_end_before_it_begins(billing_api: BillingApi) -> None:
    """Of an invoice and of a line, whichever end is changed."""
    invoice = await create_draft(billing_api)
    path = f"/v1/invoices/{invoice['id']}"
    for thing in (path, f"{path}/line-items/{invoice['line_items'][0]['id']}"):
        await billing_api.patch(thing, {"period_end": "2026-11-01T00:00:00Z"})
        error = (await billing_api.patch(thing, {"period_start": "2026-11-02T00:00:00Z"}, status=400))["error"]
        assert error["details"] == {"field": "period_end"}
        await billing_api.patch(thing, {"period_start": "2026-11-02T00:00:00Z", "period_end": None})


@on_sqlite
@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"line_item": []}, "line_item", "did you mean line_items?"),
        ({"line_items": [{"quantity": 1}]}, "line_items[0]", "unit_amount_cents"),
        ({"line_items": [{"unit_amount_cents": 1.5}]}, "line_items[0].unit_amount_cents", "expected int"),
        ({"line_items": [{"unit_amount_cents": 1, "quantity": -1}]}, "line_items[0].quantity", ">= 0"),
        (
            {"line_items": [{"unit_amount_cents": 1, "tax_rates": [{"name": "x", "percent": "101"}]}]},
            "line_items[0].tax_rates[0].percent",
            "expected 0 to 100",
        ),
        (
            {"line_items": [{"unit_amount_cents": 1, "period_start": "2026-11-01"}]},
            "line_items[0].period_start",
            "ISO 8601",
        ),
        ({"period_start": "2026-11-02T00:00:00Z", "period_end": "2026-11-01T00:00:00Z"}, "period_end", "before it"),
        ({"days_until_due": 3, "due_date": "2026-11-02T00:00:00Z"}, "due_date", "not both"),
        ({"currency": "XXX"}, "currency", "no ISO 4217"),
        ({"discount": {"type": "percent", "percent": "-1"}}, "discount.percent", "expected 0 to 100"),
        ({"collection_method": "barter"}, "collection_method", "barter"),
    ],
)
async def test_an_invalid_field_is_named(billing_api: BillingApi, body: dict[str, Any], field: str, says: str) -> None:
    """With the expected value."""
    customer = await billing_api.customer()
    error = (await billing_api.post("/v1/invoices", {"customer_id": customer["id"]} | body, status=400))["error"]
    details = error["details"]
    found = details[0] if isinstance(details, list) else details
    assert found["field"] == field
    assert says in error["message"]


@on_every_ledger
async def test_amounts_beyond_a_ledger_s_columns_are_refused(billing_api: BillingApi) -> None:
    """And nothing of such an invoice is stored."""
    customer = await billing_api.customer()
    line = {"quantity": 10**12, "unit_amount_cents": 10**15}
    await billing_api.post("/v1/invoices", {"customer_id": customer["id"], "line_items": [line]}, status=400)
    assert (await billing_api.get("/v1/invoices"))["invoices"] == []


@on_every_ledger
async def test_a_listing_can_be_filtered(billing_api: BillingApi) -> None:
    """All filters must match; listed invoices have their lines."""
    october = {"period_start": "2026-10-01T00:00:00Z", "period_end": "2026-11-01T00:00:00Z"}
    november = {"period_start": "2026-11-01T00:00:00Z", "period_end": "2026-12-01T00:00:00Z"}
    first = await create_draft(billing_api, **october)
    billing_api.clock.now += 1_000
    second = await create_draft(billing_api, CALLS, CALLS, **november)
    for params, found in (
        ({"customer_id": first["customer_id"]}, [first]),
        ({"status": "draft"}, [second, first]),
        ({"status": "open"}, []),
        ({"period_start": "2026-11-01T00:00:00Z"}, [second]),
        ({"period_end": "2026-11-01T00:00:00Z"}, [first]),
        ({"number": "INV-0001"}, []),
        ({"subscription_id": "nobody"}, []),
        ({"limit": "1"}, [second]),
    ):
        assert (await billing_api.client.get("/v1/invoices", params=params)).json()["invoices"] == found
    page = await billing_api.get("/v1/invoices", limit=1)
    assert page["pagination"]["has_more"]
    rest = await billing_api.get("/v1/invoices", limit=1, cursor=page["pagination"]["next_cursor"])
    assert rest["invoices"] == [first]
    await billing_api.get("/v1/invoices", status=400, staus="draft")


async def test_a_draft_can_be_deleted(billing_api: BillingApi) -> None:
    """Then its customer can be deleted too."""
    invoice = await create_draft(billing_api)
    await billing_api.delete(f"/v1/customers/{invoice['customer_id']}", status=409)
    assert (await billing_api.delete(f"/v1/invoices/{invoice['id']}"))["deleted"] is True
    await billing_api.get(f"/v1/invoices/{invoice['id']}", status=404)
    await billing_api.delete(f"/v1/customers/{invoice['customer_id']}")


async def test_another_account_cannot_see_or_change_an_invoice(
    billing_api: BillingApi, other_account: BillingApi
) -> None:
    """Nor bill its customer."""
    invoice = await create_draft(billing_api)
    path = f"/v1/invoices/{invoice['id']}"
    line = f"{path}/line-items/{invoice['line_items'][0]['id']}"
    await other_account.get(path, status=404)
    await other_account.patch(path, {"footer": "mine"}, status=404)
    await other_account.delete(path, status=404)
    await other_account.post(f"{path}/line-items", CALLS, status=404)
    await other_account.patch(line, {"quantity": 2}, status=404)
    await other_account.delete(line, status=404)
    await other_account.post("/v1/invoices", {"customer_id": invoice["customer_id"]}, status=404)
    assert (await other_account.get("/v1/invoices"))["invoices"] == []
    assert (await billing_api.get(path))["invoice"] == invoice


async def test_a_repeated_creation_makes_one_invoice(billing_api: BillingApi) -> None:
    """Under one idempotency key, with the same answer to the digit."""
    customer = await billing_api.customer(tax_rates=VAT)
    body = {"customer_id": customer["id"], "line_items": [CALLS], "discount": {"type": "percent", "percent": "12.5"}}
    made = await billing_api.post("/v1/invoices", body, idempotency_key="k1")
    again = await billing_api.post("/v1/invoices", body, idempotency_key="k1")
    assert again["invoice"] == made["invoice"]
    assert len((await billing_api.get("/v1/invoices"))["invoices"]) == 1
