"""Finalization: numbers without gaps, due dates, and an invoice that never changes again."""

import asyncio
import re

import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from schemas.timestamps import DAY, to_iso
from tests.rating.api.billing_api import BillingApi
from tests.rating.api.invoice_steps import CALLS, VAT, create_draft, create_final
from tests.rating.api.published_schemas import assert_fits
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio


@on_every_ledger
async def test_the_published_example_works(billing_api: BillingApi) -> None:
    """From draft to open, with a number and a public address."""
    draft = await create_draft(billing_api, days_until_due=30)
    reply = await billing_api.post(f"/v1/invoices/{draft['id']}/finalize", status=200)
    assert_fits(reply, "InvoiceResponse")
    invoice = reply["invoice"]
    assert (invoice["id"], invoice["status"], invoice["invoice_number"]) == (draft["id"], "open", "INV-0001")
    assert re.fullmatch(r"https://bill\.example/inv/[a-z0-9]{32}", invoice["public_invoice_url"])
    assert invoice["finalized_at"] == to_iso(billing_api.clock.now)
    assert invoice["due_date"] == to_iso(billing_api.clock.now + 30 * DAY)
    changed = ("status", "invoice_number", "public_invoice_url", "finalized_at", "due_date")
    assert {name: invoice[name] for name in draft if name not in changed} == {
        name: value for name, value in draft.items() if name not in changed
    }
    assert (await billing_api.get("/v1/invoices", number="INV-0001"))["invoices"] == [invoice]


@on_every_ledger
async def test_fifty_finalizations_at_once_are_numbered_without_gap(billing_api: BillingApi) -> None:
    """In any order; deleted and refused drafts take no number."""
    customer = (await billing_api.customer())["id"]
    drafts = [await create_draft(billing_api, customer_id=customer) for _ in range(50)]
    await billing_api.delete(f"/v1/invoices/{(await create_draft(billing_api, customer_id=customer))['id']}")
    empty = await create_draft(billing_api, customer_id=customer)
    await billing_api.delete(f"/v1/invoices/{empty['id']}/line-items/{empty['line_items'][0]['id']}")
    to_finalize = [*drafts, empty, *drafts[:10]]
    paths = [f"/v1/invoices/{draft['id']}/finalize" for draft in to_finalize]
    replies = await asyncio.gather(*(billing_api.client.post(path) for path in paths))
    numbers = [reply.json()["invoice"]["invoice_number"] for reply in replies if reply.status_code == 200]
    assert sorted(numbers) == [f"INV-{number:04}" for number in range(1, 51)]
    assert sorted(reply.status_code for reply in replies if reply.status_code != 200) == [409] * 11
    assert (await create_final(billing_api, customer_id=customer))["invoice_number"] == "INV-0051"


async def test_each_account_has_its_own_numbers(billing_api: BillingApi, other_account: BillingApi) -> None:
    """Test data takes no number of the live account."""
    assert (await create_final(billing_api))["invoice_number"] == "INV-0001"
    assert (await create_final(other_account))["invoice_number"] == "INV-0001"
    draft = await create_draft(billing_api)
    await other_account.post(f"/v1/invoices/{draft['id']}/finalize", status=404)
    assert (await create_final(billing_api))["invoice_number"] == "INV-0002"


async def test_terms_come_from_the_invoice_then_the_customer_then_the_account(billing_api: BillingApi) -> None:
    """A given due date is kept."""
    patient = (await billing_api.customer(net_terms=60))["id"]
    assert (await create_final(billing_api))["days_until_due"] == 30
    assert (await create_final(billing_api, customer_id=patient))["due_date"] == to_iso(
        billing_api.clock.now + 60 * DAY
    )
    assert (await create_final(billing_api, customer_id=patient, days_until_due=0))["due_date"] == to_iso(
        billing_api.clock.now
    )
    given = await create_final(billing_api, customer_id=patient, due_date="2027-03-01T00:00:00Z")
    assert (given["due_date"], given["days_until_due"]) == ("2027-03-01T00:00:00Z", None)


async def test_days_until_due_are_days_in_the_customer_s_time_zone(billing_api: BillingApi) -> None:
    """Across the change to summer time a due date keeps its local hour."""
    berlin = (await billing_api.customer(timezone="Europe/Berlin", net_terms=90))["id"]
    due = (await create_final(billing_api, customer_id=berlin))["due_date"]
    assert (to_iso(billing_api.clock.now), due) == ("2027-01-15T08:00:00Z", "2027-04-15T07:00:00Z")


async def test_an_invoice_that_cannot_be_final_is_refused(billing_api: BillingApi) -> None:
    """Such as one without lines; the draft stays a draft and can be corrected."""
    draft = await create_draft(billing_api)
    path = f"/v1/invoices/{draft['id']}"
    empty = (await billing_api.delete(f"{path}/line-items/{draft['line_items'][0]['id']}"))["invoice"]
    assert (await billing_api.post(f"{path}/finalize", status=409))["error"]["code"] == "INVOICE_HAS_NO_LINES"
    assert (await billing_api.get(path))["invoice"] == empty
    await billing_api.post(f"{path}/line-items", CALLS)
    await billing_api.post(f"{path}/finalize", status=200)


async def test_an_invoice_of_zero_is_paid_at_once(billing_api: BillingApi) -> None:
    """It has a number like any other."""
    invoice = await create_final(billing_api, {"unit_amount_cents": 100}, {"unit_amount_cents": -100})
    assert (invoice["status"], invoice["invoice_number"]) == ("paid", "INV-0001")
    assert invoice["paid_at"] == invoice["finalized_at"]


async def test_a_final_invoice_refuses_every_change(billing_api: BillingApi) -> None:
    """Each refusal names the status."""
    invoice = await create_final(billing_api)
    path, line = f"/v1/invoices/{invoice['id']}", invoice["line_items"][0]["id"]
    refused = [
        await billing_api.post(f"{path}/finalize", status=409),
        await billing_api.patch(path, {"footer": "x"}, status=409),
        await billing_api.delete(path, status=409),
        await billing_api.post(f"{path}/line-items", CALLS, status=409),
        await billing_api.patch(f"{path}/line-items/{line}", {"quantity": 2}, status=409),
        await billing_api.delete(f"{path}/line-items/{line}", status=409),
    ]
    assert {reply["error"]["code"] for reply in refused} == {"INVOICE_IS_OPEN"}
    assert all(f"invoice {invoice['id']} is open" in reply["error"]["message"] for reply in refused)
    assert (await billing_api.get(path))["invoice"] == invoice


async def test_later_tax_rates_of_the_customer_change_no_final_invoice(billing_api: BillingApi) -> None:
    """A draft takes them with its next change."""
    customer = (await billing_api.customer(tax_rates=VAT))["id"]
    final = await create_final(billing_api, customer_id=customer)
    draft = await create_draft(billing_api, customer_id=customer)
    await billing_api.patch(f"/v1/customers/{customer}", {"tax_rates": []})
    assert (await billing_api.get(f"/v1/invoices/{final['id']}"))["invoice"] == final
    changed = (await billing_api.patch(f"/v1/invoices/{draft['id']}", {"footer": "x"}))["invoice"]
    assert (draft["tax_cents"], changed["tax_cents"], changed["line_items"][0]["tax_amount_cents"]) == (950, 0, 0)


@on_every_ledger
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE invoices SET total = 1",
        "UPDATE invoices SET number = 'INV-0009'",
        "UPDATE invoices SET status = 'draft'",
        "UPDATE invoices SET details = '{}'",
        "UPDATE invoices SET finalized_at = NULL",
        "DELETE FROM invoices",
        "UPDATE invoice_lines SET amount = 1",
        "UPDATE invoice_lines SET description = 'other'",
        "DELETE FROM invoice_lines",
        "INSERT INTO invoice_lines SELECT 'c2', invoice_id, 9, '', '', 1, 1, 1, 0, 0, 1, '{}', 1, 1 FROM invoice_lines",
    ],
)
async def test_the_database_refuses_changes_of_final_invoices(
    billing_api: BillingApi, migrated_url: str, statement: str
) -> None:
    """Even in SQL by hand."""
    invoice = await create_final(billing_api)
    engine = create_engine(migrated_url)
    with pytest.raises(sa.exc.DBAPIError, match="finalized invoice cannot be"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    assert (await billing_api.get(f"/v1/invoices/{invoice['id']}"))["invoice"] == invoice
