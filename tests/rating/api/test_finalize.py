"""Finalizing: numbers without gaps, due dates, and an invoice that nothing changes any more."""

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
    """From draft to open, with a number and an address."""
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
async def test_fifty_at_once_are_numbered_without_gap(billing_api: BillingApi) -> None:
    """Whoever comes first; drafts that were thrown away or refused took no number."""
    customer = (await billing_api.customer())["id"]
    drafts = [await create_draft(billing_api, customer_id=customer) for _ in range(50)]
    await billing_api.delete(f"/v1/invoices/{(await create_draft(billing_api, customer_id=customer))['id']}")
    empty = await create_draft(billing_api, customer_id=customer)
    await billing_api.delete(f"/v1/invoices/{empty['id']}/line-items/{empty['line_items'][0]['id']}")
    asked = [*drafts, empty, *drafts[:10]]
    paths = [f"/v1/invoices/{draft['id']}/finalize" for draft in asked]
    replies = await asyncio.gather(*(billing_api.client.post(path) for path in paths))
    numbers = [reply.json()["invoice"]["invoice_number"] for reply in replies if reply.status_code == 200]
    assert sorted(numbers) == [f"INV-{number:04}" for number in range(1, 51)]
    assert sorted(reply.status_code for reply in replies if reply.status_code != 200) == [409] * 11
    assert (await create_final(billing_api, customer_id=customer))["invoice_number"] == "INV-0051"


async def test_each_account_counts_for_itself(billing_api: BillingApi, other_account: BillingApi) -> None:
    """Test data takes no number of the live account."""
    assert (await create_final(billing_api))["invoice_number"] == "INV-0001"
    assert (await create_final(other_account))["invoice_number"] == "INV-0001"
    draft = await create_draft(billing_api)
    await other_account.post(f"/v1/invoices/{draft['id']}/finalize", status=404)
    assert (await create_final(billing_api))["invoice_number"] == "INV-0002"


async def test_terms_are_the_invoice_s_else_the_customer_s_else_the_account_s(billing_api: BillingApi) -> None:
    """A due date that was given stands as it is."""
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


async def test_days_are_those_of_the_customer_s_calendar(billing_api: BillingApi) -> None:
    """Over the change to summer time a due date keeps its hour on the wall."""
    berlin = (await billing_api.customer(timezone="Europe/Berlin", net_terms=90))["id"]
    due = (await create_final(billing_api, customer_id=berlin))["due_date"]
    assert (to_iso(billing_api.clock.now), due) == ("2027-01-15T08:00:00Z", "2027-04-15T07:00:00Z")


async def test_what_cannot_be_asked_for_is_refused(billing_api: BillingApi) -> None:
    """Without a line there is nothing to ask for; the draft stays a draft, and what is wrong can be mended."""
    draft = await create_draft(billing_api)
    path = f"/v1/invoices/{draft['id']}"
    empty = (await billing_api.delete(f"{path}/line-items/{draft['line_items'][0]['id']}"))["invoice"]
    assert (await billing_api.post(f"{path}/finalize", status=409))["error"]["code"] == "INVOICE_HAS_NO_LINES"
    assert (await billing_api.get(path))["invoice"] == empty
    await billing_api.post(f"{path}/line-items", CALLS)
    await billing_api.post(f"{path}/finalize", status=200)


async def test_an_invoice_of_nothing_is_paid_at_once(billing_api: BillingApi) -> None:
    """It has a number like any other."""
    invoice = await create_final(billing_api, {"unit_amount_cents": 100}, {"unit_amount_cents": -100})
    assert (invoice["status"], invoice["invoice_number"]) == ("paid", "INV-0001")
    assert invoice["paid_at"] == invoice["finalized_at"]


async def test_nothing_of_a_final_invoice_changes(billing_api: BillingApi) -> None:
    """Every way in names the status."""
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


async def test_what_the_customer_s_taxes_become_later_changes_no_final_invoice(billing_api: BillingApi) -> None:
    """A draft follows them with its next change."""
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
async def test_the_database_itself_refuses(billing_api: BillingApi, migrated_url: str, statement: str) -> None:
    """Whoever has it, even by hand."""
    invoice = await create_final(billing_api)
    engine = create_engine(migrated_url)
    with pytest.raises(sa.exc.DBAPIError, match="finalized invoice cannot be"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    assert (await billing_api.get(f"/v1/invoices/{invoice['id']}"))["invoice"] == invoice
