"""Credit notes over the API: numbered in their own sequence, taxed as their invoice, never more than the invoice."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from tests.rating.api.billing_api import BillingApi
from tests.rating.api.invoice_steps import VAT, create_draft, create_final, credit, take_step
from tests.rating.api.published_schemas import assert_fits
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio

HALF = [{"name": "half", "percent": "7"}]


@on_every_ledger
async def test_an_amount_is_spread_and_taxed_as_the_invoice_was(billing_api: BillingApi) -> None:
    """It has a number of its own, lowers the amount due, and can be read again."""
    lines = ({"unit_amount_cents": 6000, "tax_rates": VAT}, {"unit_amount_cents": 4000, "tax_rates": HALF})
    invoice = await create_final(billing_api, *lines)
    assert invoice["total_cents"] == 11420
    reply = await credit(billing_api, invoice, amount_cents=1000, reason="Outage", metadata={"case": "7"})
    assert_fits(reply, "InvoiceResponse")
    note, after = reply["credit_note"], reply["invoice"]
    assert (note["number"], note["reason"], note["metadata"]) == ("CN-0001", "Outage", {"case": "7"})
    assert (note["amount_cents"], note["tax_cents"], note["total_cents"]) == (1000, 142, 1142)
    assert [(line["amount_cents"], line["tax_cents"]) for line in note["lines"]] == [(600, 114), (400, 28)]
    assert (after["status"], after["amount_credited_cents"], after["amount_due_cents"]) == ("open", 1142, 10278)
    assert (after["total_cents"], after["line_items"]) == (invoice["total_cents"], invoice["line_items"])
    listed = await billing_api.get(f"/v1/invoices/{invoice['id']}/credit-notes")
    assert listed["credit_notes"] == [note]


async def test_lines_are_credited_separately(billing_api: BillingApi) -> None:
    """With an amount, or with the whole rest; a discount is not paid out."""
    lines = ({"unit_amount_cents": 6000, "tax_rates": VAT}, {"unit_amount_cents": 4000})
    invoice = await create_final(billing_api, *lines, discount={"type": "percent", "percent": "10"})
    first, second = (line["id"] for line in invoice["line_items"])
    lines_to_credit = [{"line_id": first, "amount_cents": 400}, {"line_id": second}]
    note = (await credit(billing_api, invoice, lines=lines_to_credit))["credit_note"]
    assert [(line["line_id"], line["amount_cents"], line["tax_cents"]) for line in note["lines"]] == [
        (first, 400, 76),
        (second, 3600, 0),
    ]
    error = (await credit(billing_api, invoice, 409, lines=[{"line_id": second, "amount_cents": 1}]))["error"]
    assert (error["code"], error["details"]) == ("CREDIT_TOO_LARGE", {"field": "lines[0]"})


async def test_crediting_the_whole_rest_settles_an_open_invoice(billing_api: BillingApi) -> None:
    """To the cent, after a partial payment and a partial credit; then nothing is left to credit."""
    customer = (await billing_api.customer(tax_rates=VAT))["id"]
    invoice = await create_final(billing_api, {"unit_amount_cents": 9999}, customer_id=customer)
    await credit(billing_api, invoice, amount_cents=3333)
    await take_step(billing_api, invoice, "pay", {"amount_cents": 100})
    reply = await credit(billing_api, invoice)
    assert (reply["invoice"]["status"], reply["invoice"]["amount_due_cents"]) == ("paid", 0)
    assert reply["invoice"]["amount_credited_cents"] == invoice["total_cents"]
    assert (await credit(billing_api, invoice, 409))["error"]["code"] == "CREDIT_TOO_LARGE"


async def test_a_paid_invoice_can_be_credited(billing_api: BillingApi) -> None:
    """It stays paid."""
    invoice = await create_final(billing_api)
    await take_step(billing_api, invoice, "pay")
    assert (await credit(billing_api, invoice, amount_cents=5000))["invoice"]["status"] == "paid"
    assert (await credit(billing_api, invoice, 409, amount_cents=1))["error"]["code"] == "CREDIT_TOO_LARGE"


async def test_drafts_and_void_invoices_cannot_be_credited(billing_api: BillingApi) -> None:
    """And an invoice with a credit note cannot be voided."""
    assert (await credit(billing_api, await create_draft(billing_api), 409))["error"]["code"] == "INVOICE_IS_DRAFT"
    void = await take_step(billing_api, await create_final(billing_api), "void")
    assert (await credit(billing_api, void, 409))["error"]["code"] == "INVOICE_IS_VOID"
    invoice = await create_final(billing_api)
    assert (await credit(billing_api, invoice, amount_cents=1))["credit_note"]["number"] == "CN-0001"
    await take_step(billing_api, invoice, "void", status=409)


@on_every_ledger
async def test_concurrent_credit_notes_are_numbered_without_gap_and_never_exceed_the_invoice(
    billing_api: BillingApi,
) -> None:
    """Of twelve that each credit a fifth, five succeed."""
    invoice = await create_final(billing_api)
    path = f"/v1/invoices/{invoice['id']}/credit-notes"
    replies = await asyncio.gather(*(billing_api.client.post(path, json={"amount_cents": 1000}) for _ in range(12)))
    made = [reply.json()["credit_note"]["number"] for reply in replies if reply.status_code == 201]
    assert sorted(made) == [f"CN-{number:04}" for number in range(1, 6)]
    assert [reply.status_code for reply in replies if reply.status_code != 201] == [409] * 7


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"amount_cents": 0}, 400, ">= 1"),
        ({"amount": 5}, 400, "did you mean amount_cents?"),
        ({"amount_cents": 5, "lines": [{"line_id": "x"}]}, 400, "not both"),
        ({"lines": [{"line_id": "x"}]}, 404, "no line 'x'"),
        ({"amount_cents": 5001}, 409, "too much"),
    ],
)
async def test_an_invalid_request_is_explained(
    billing_api: BillingApi, body: dict[str, Any], status: int, says: str
) -> None:
    """And nothing is credited."""
    invoice = await create_final(billing_api)
    assert says in (await credit(billing_api, invoice, status, **body))["error"]["message"]
    assert (await billing_api.get(f"/v1/invoices/{invoice['id']}"))["invoice"] == invoice


async def test_another_account_cannot_credit_an_invoice(billing_api: BillingApi, other_account: BillingApi) -> None:
    """The invoice does not exist for it."""
    invoice = await create_final(billing_api)
    await credit(other_account, invoice, 404)
    await other_account.get(f"/v1/invoices/{invoice['id']}/credit-notes", status=404)
    assert (await billing_api.get(f"/v1/invoices/{invoice['id']}"))["invoice"] == invoice
    assert (await billing_api.get(f"/v1/invoices/{invoice['id']}/credit-notes"))["credit_notes"] == []


@on_every_ledger
@pytest.mark.parametrize("statement", ["UPDATE credit_notes SET total = 1", "DELETE FROM credit_notes"])
async def test_the_database_refuses_changes_of_credit_notes(
    billing_api: BillingApi, migrated_url: str, statement: str
) -> None:
    """Even in SQL by hand."""
    await credit(billing_api, await create_final(billing_api))
    engine = create_engine(migrated_url)
    with pytest.raises(sa.exc.DBAPIError, match="credit note cannot be"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
