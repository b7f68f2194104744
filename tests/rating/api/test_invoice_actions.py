"""Steps of final invoices: paid in full or in part, voided, marked as uncollectible."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from schemas.timestamps import to_iso
from tests.rating.api.billing_api import BillingApi
from tests.rating.api.invoice_steps import CALLS, create_draft, create_final, take_step
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio


@on_every_ledger
async def test_a_payment_without_an_amount_pays_everything_due(billing_api: BillingApi) -> None:
    """Now, unless a time is given."""
    invoice = await create_final(billing_api)
    billing_api.clock.now += 1_000_000
    paid = await take_step(billing_api, invoice, "pay")
    assert (paid["status"], paid["amount_paid_cents"], paid["amount_due_cents"]) == ("paid", 5000, 0)
    assert paid["paid_at"] == to_iso(billing_api.clock.now)
    assert paid == invoice | {name: paid[name] for name in ("status", "paid_at", "updated_at")} | {
        "amount_paid_cents": 5000,
        "amount_due_cents": 0,
    }


async def test_partial_payments_leave_an_invoice_open_until_everything_is_paid(billing_api: BillingApi) -> None:
    """Each is recorded with method and reference; the time of the last one is when the invoice was paid."""
    invoice = await create_final(billing_api)
    first = {"amount_cents": 2000, "method": "bank_transfer", "reference": "TX-1", "paid_at": "2027-01-02T00:00:00Z"}
    partly = await take_step(billing_api, invoice, "pay", first)
    assert (partly["status"], partly["amount_due_cents"], partly["paid_at"]) == ("open", 3000, None)
    assert (await take_step(billing_api, invoice, "pay", {"amount_cents": 3001}, 409))["code"] == "OVERPAYMENT"
    assert (await take_step(billing_api, invoice, "void", status=409))["code"] == "INVOICE_HAS_PAYMENTS"
    billing_api.clock.now += 1_000_000
    paid = await take_step(billing_api, invoice, "pay", {"paid_at": "2027-01-03T00:00:00Z"})
    assert (paid["status"], paid["paid_at"]) == ("paid", "2027-01-03T00:00:00Z")
    found = (await billing_api.get(f"/v1/invoices/{invoice['id']}/payments"))["payments"]
    assert [(payment["amount_cents"], payment["reference"]) for payment in found] == [(2000, "TX-1"), (3000, None)]
    assert {**first, "invoice_id": invoice["id"]}.items() <= found[0].items()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount_cents": 0}, "amount_cents"),
        ({"amount_cents": -5}, "amount_cents"),
        ({"method": "barter"}, "method"),
        ({"paid_at": "2030-01-01T00:00:00Z"}, "paid_at"),
        ({"amount": 5}, "amount"),
    ],
)
async def test_an_invalid_payment_is_refused_by_field(
    billing_api: BillingApi, body: dict[str, Any], field: str
) -> None:
    """And not recorded."""
    invoice = await create_final(billing_api)
    error = await take_step(billing_api, invoice, "pay", body, 400)
    details = error["details"]
    assert (details[0] if isinstance(details, list) else details)["field"] == field
    assert (await billing_api.get(f"/v1/invoices/{invoice['id']}/payments"))["payments"] == []


async def test_an_uncollectible_invoice_may_still_be_paid_or_voided(billing_api: BillingApi) -> None:
    """A partial payment leaves it uncollectible; a full one pays it."""
    invoice = await create_final(billing_api)
    given_up = await take_step(billing_api, invoice, "mark-uncollectible")
    assert (given_up["status"], given_up["amount_due_cents"]) == ("uncollectible", 5000)
    assert (await take_step(billing_api, invoice, "pay", {"amount_cents": 1}))["status"] == "uncollectible"
    assert (await take_step(billing_api, invoice, "pay"))["status"] == "paid"
    other = await create_final(billing_api)
    await take_step(billing_api, other, "mark-uncollectible")
    assert (await take_step(billing_api, other, "void"))["status"] == "void"


async def test_a_void_invoice_keeps_its_number_and_has_nothing_due(billing_api: BillingApi) -> None:
    """The next invoice has the next number."""
    voided = await take_step(billing_api, await create_final(billing_api), "void")
    assert (voided["status"], voided["invoice_number"], voided["amount_due_cents"]) == ("void", "INV-0001", 0)
    assert voided["total_cents"] == 5000
    assert (await create_final(billing_api))["invoice_number"] == "INV-0002"


async def test_a_refused_step_names_the_status(billing_api: BillingApi) -> None:
    """Every step that the state machine does not have, from every status."""
    draft = await create_draft(billing_api)
    paid = await take_step(billing_api, await create_final(billing_api), "pay")
    void = await take_step(billing_api, await create_final(billing_api), "void")
    given_up = await take_step(billing_api, await create_final(billing_api), "mark-uncollectible")
    refused = {
        "draft": (draft, ["pay", "void", "mark-uncollectible"]),
        "paid": (paid, ["finalize", "pay", "void", "mark-uncollectible"]),
        "void": (void, ["finalize", "pay", "void", "mark-uncollectible"]),
        "uncollectible": (given_up, ["finalize", "mark-uncollectible"]),
    }
    for status, (invoice, steps) in refused.items():
        for name in steps:
            error = await take_step(billing_api, invoice, name, status=409)
            assert error["code"] == f"INVOICE_IS_{status.upper()}"
            assert f"is {status} and cannot be" in error["message"]


@on_every_ledger
@pytest.mark.parametrize("name", ["finalize", "void", "pay", "mark-uncollectible"])
async def test_of_concurrent_steps_one_wins(billing_api: BillingApi, name: str) -> None:
    """The others get the status after it; nothing is applied twice."""
    invoice = await (create_draft(billing_api) if name == "finalize" else create_final(billing_api))
    path = f"/v1/invoices/{invoice['id']}/{name}"
    replies = await asyncio.gather(*(billing_api.client.post(path) for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] + [409] * 7
    assert {reply.json()["error"]["code"] for reply in replies if reply.status_code == 409} <= {
        "INVOICE_IS_OPEN",
        "INVOICE_IS_VOID",
        "INVOICE_IS_PAID",
        "INVOICE_IS_UNCOLLECTIBLE",
    }
    payments = (await billing_api.get(f"/v1/invoices/{invoice['id']}/payments"))["payments"]
    assert len(payments) == (1 if name == "pay" else 0)


@on_every_ledger
async def test_concurrent_partial_payments_never_exceed_the_amount_due(billing_api: BillingApi) -> None:
    """Of eight payments of a third, three are taken."""
    invoice = await create_final(billing_api, {"unit_amount_cents": 3000})
    path = f"/v1/invoices/{invoice['id']}/pay"
    replies = await asyncio.gather(*(billing_api.client.post(path, json={"amount_cents": 1000}) for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] * 3 + [409] * 5
    assert (await billing_api.get(f"/v1/invoices/{invoice['id']}"))["invoice"]["status"] == "paid"


@on_every_ledger
async def test_a_concurrent_change_is_on_the_final_invoice_or_refused(billing_api: BillingApi) -> None:
    invoice = await create_draft(billing_api)
    path = f"/v1/invoices/{invoice['id']}"
    additions = [billing_api.client.post(f"{path}/line-items", json=CALLS) for _ in range(6)]
    replies = await asyncio.gather(*additions[:3], billing_api.client.post(f"{path}/finalize"), *additions[3:])
    added = sum(reply.status_code == 201 for reply in replies)
    final = (await billing_api.get(path))["invoice"]
    assert (len(final["line_items"]), final["total_cents"]) == (1 + added, 5000 * (1 + added))


@on_every_ledger
@pytest.mark.parametrize("statement", ["UPDATE payments SET amount = 1", "DELETE FROM payments"])
async def test_the_database_refuses_changes_of_payments(
    billing_api: BillingApi, migrated_url: str, statement: str
) -> None:
    """Even in SQL by hand."""
    await take_step(billing_api, await create_final(billing_api), "pay")
    engine = create_engine(migrated_url)
    with pytest.raises(sa.exc.DBAPIError, match="payment cannot be"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


async def test_another_account_cannot_take_steps(billing_api: BillingApi, other_account: BillingApi) -> None:
    """The invoice does not exist for it."""
    invoice = await create_final(billing_api)
    for name in ("pay", "void", "mark-uncollectible"):
        await take_step(other_account, invoice, name, status=404)
    await other_account.get(f"/v1/invoices/{invoice['id']}/payments", status=404)
    assert (await billing_api.get(f"/v1/invoices/{invoice['id']}"))["invoice"] == invoice
