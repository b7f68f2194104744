"""A customer's balance: filled by an invoice below zero, and used by the next invoices."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from schemas.payment import GivenMethod, PaymentMethod
from schemas.timestamps import DAY, to_iso
from tests.rating.api.billing_api import BillingApi
from tests.rating.api.daily_billing import run_to_end
from tests.rating.api.invoice_steps import VAT, create_draft, create_final, credit, take_step
from tests.rating.api.published_schemas import assert_fits
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio


def _line(cents: int) -> dict[str, Any]:
    return {"unit_amount_cents": cents}


async def create_balance(billing_api: BillingApi, cents: int, **fields: Any) -> dict[str, Any]:
    """A final invoice that leaves this amount on the balance of its customer, a new one unless named."""
    return await create_final(billing_api, _line(-cents), **fields)


async def balances(billing_api: BillingApi, customer_id: str) -> dict[str, str]:
    """By currency."""
    found = (await billing_api.get(f"/v1/customers/{customer_id}/balances"))["balances"]
    return {balance["currency_code"]: balance["balance"] for balance in found}


async def payments(billing_api: BillingApi, invoice: dict[str, Any]) -> list[tuple[str, int]]:
    found = (await billing_api.get(f"/v1/invoices/{invoice['id']}/payments"))["payments"]
    return [(payment["method"], payment["amount_cents"]) for payment in found]


async def moves(billing_api: BillingApi, customer_id: str) -> list[dict[str, Any]]:
    """The entries of the audit log about the customer's balance."""
    noted = (await billing_api.get("/v1/audit", subject=customer_id))["entries"]
    actions = "balance.credit", "balance.use"
    logged = [entry for entry in noted if entry["action"] in actions]
    assert all(entry["action"] == actions[entry["after"]["amount"] < 0] for entry in logged)
    return [entry["after"] for entry in logged]


def entries(url: str) -> list[int]:
    """The amounts of all balance entries, ascending."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT amount FROM balance_entries ORDER BY amount").scalars().all()
    engine.dispose()
    return [int(amount) for amount in found]


@on_every_ledger
async def test_an_invoice_below_zero_is_paid_and_fills_the_balance(billing_api: BillingApi) -> None:
    """It has a number like any other; taxes are owed too, and the audit log shows where the balance comes from."""
    customer = (await billing_api.customer(tax_rates=VAT))["id"]
    invoice = await create_final(billing_api, _line(5000), _line(-6000), customer_id=customer)
    assert (invoice["status"], invoice["invoice_number"], invoice["total_cents"]) == ("paid", "INV-0001", -1190)
    assert (invoice["amount_paid_cents"], invoice["amount_due_cents"]) == (0, 0)
    assert invoice["paid_at"] == invoice["finalized_at"] == to_iso(billing_api.clock.now)
    assert_fits(await billing_api.get(f"/v1/invoices/{invoice['id']}"), "InvoiceResponse")
    assert await balances(billing_api, customer) == {"usd": "11.9"}
    assert await payments(billing_api, invoice) == []
    [noted] = await moves(billing_api, customer)
    assert noted.items() >= {"invoice_id": invoice["id"], "currency": "USD", "amount": 1190}.items()


async def test_the_next_invoices_use_the_balance_until_it_is_empty(billing_api: BillingApi) -> None:
    """As payments of their own method; the rest of an invoice is due as usual."""
    customer = (await create_balance(billing_api, 1500))["customer_id"]
    first = await create_final(billing_api, _line(1000), customer_id=customer)
    assert (first["status"], first["amount_paid_cents"], first["amount_due_cents"]) == ("paid", 1000, 0)
    assert (first["paid_at"], first["total_cents"]) == (first["finalized_at"], 1000)
    assert await balances(billing_api, customer) == {"usd": "5"}
    second = await create_final(billing_api, _line(2000), customer_id=customer)
    assert_fits(await billing_api.get(f"/v1/invoices/{second['id']}"), "InvoiceResponse")
    assert (second["status"], second["amount_paid_cents"], second["amount_due_cents"]) == ("open", 500, 1500)
    assert second["paid_at"] is None
    assert await balances(billing_api, customer) == {}
    third = await create_final(billing_api, _line(100), customer_id=customer)
    assert (third["amount_paid_cents"], await payments(billing_api, third)) == (0, [])
    assert await payments(billing_api, first) == [("customer_balance", 1000)]
    billing_api.clock.now += 1_000_000
    paid = await take_step(billing_api, second, "pay")
    assert (paid["status"], paid["amount_paid_cents"]) == ("paid", 2000)
    assert await payments(billing_api, second) == [("customer_balance", 500), ("other", 1500)]
    assert sorted(entry["amount"] for entry in await moves(billing_api, customer)) == [-1000, -500, 1500]


async def test_the_refund_of_a_canceled_period_pays_the_next_subscription(billing_api: BillingApi) -> None:
    """With automatic finalization: a prepaid month is canceled, becomes a balance and pays part of the next fee."""
    await billing_api.patch("/v1/settings", {"auto_finalize": True})
    await billing_api.plan()
    await billing_api.plan("team", fixed_fees=[{"code": "seats", "name": "Seats", "amount_cents": 5000}])
    made = await billing_api.subscription()
    billing_api.clock.now += 20 * DAY
    await run_to_end(billing_api)
    for invoice in (await billing_api.get("/v1/invoices"))["invoices"]:
        await take_step(billing_api, invoice, "pay")
    body = {"cancel_mode": "now", "cancel_now_prepaid_refund_policy": "prorate"}
    await billing_api.post(f"/v1/subscriptions/{made['id']}/cancel", body, status=200)
    logged = await run_to_end(billing_api)
    assert (logged["finalized"], logged["below_zero"], logged["totals"]) == (1, 1, {"USD": -1714})
    assert await balances(billing_api, made["customer_id"]) == {"usd": "17.14"}
    again = await billing_api.subscription(customer_id=made["customer_id"], plan_code="team")
    await run_to_end(billing_api)
    [invoice] = (await billing_api.get("/v1/invoices", subscription_id=again["id"]))["invoices"]
    assert (invoice["status"], invoice["amount_paid_cents"]) == ("open", 1714)
    assert invoice["amount_due_cents"] == invoice["total_cents"] - 1714
    assert await payments(billing_api, invoice) == [("customer_balance", 1714)]
    assert await balances(billing_api, made["customer_id"]) == {}


async def test_a_balance_pays_in_its_own_currency_and_for_its_own_customer(
    billing_api: BillingApi, other_account: BillingApi
) -> None:
    """Each has the decimals of its currency, and includes credit granted in that currency."""
    customer = (await billing_api.customer())["id"]
    for currency in ("JPY", "KWD", "USD"):
        await create_balance(billing_api, 1234, customer_id=customer, currency=currency)
    euros = await create_final(billing_api, _line(500), customer_id=customer, currency="EUR")
    other = await create_final(billing_api, _line(500))
    assert [invoice["amount_paid_cents"] for invoice in (euros, other)] == [0, 0]
    assert await balances(billing_api, customer) == {"jpy": "1234", "kwd": "1.234", "usd": "12.34"}
    await billing_api.plan()
    subscription = await billing_api.subscription(customer_id=customer)
    grant = {"name": "Welcome", "amount": "0.005", "currency_code": "usd"}
    await billing_api.post(f"/v1/subscriptions/{subscription['id']}/credit-grants", grant)
    assert (await balances(billing_api, customer))["usd"] == "12.345"
    yen = await create_final(billing_api, _line(1000), customer_id=customer, currency="JPY")
    assert yen["status"] == "paid"
    assert await balances(billing_api, customer) == {"jpy": "234", "kwd": "1.234", "usd": "12.345"}
    await other_account.get(f"/v1/customers/{customer}/balances", status=404)


@on_every_ledger
async def test_fifty_finalizations_at_once_use_a_balance_once(billing_api: BillingApi, migrated_url: str) -> None:
    """It covers half of them and half of one more: every cent is used, and none twice."""
    customer = (await create_balance(billing_api, 2550))["customer_id"]
    drafts = [await create_draft(billing_api, _line(100), customer_id=customer) for _ in range(50)]
    paths = [f"/v1/invoices/{draft['id']}/finalize" for draft in drafts]
    replies = await asyncio.gather(*(billing_api.client.post(path) for path in paths))
    final = [reply.json()["invoice"] for reply in replies]
    assert sorted(invoice["amount_paid_cents"] for invoice in final) == [0] * 24 + [50] + [100] * 25
    assert sorted(invoice["status"] for invoice in final) == ["open"] * 25 + ["paid"] * 25
    assert entries(migrated_url) == [-100] * 25 + [-50, 2550]
    assert await balances(billing_api, customer) == {}


@on_every_ledger
async def test_concurrent_additions_to_and_uses_of_a_balance_are_all_recorded(
    billing_api: BillingApi, migrated_url: str
) -> None:
    """In whatever order they happen, no running sum is below zero."""
    customer = (await billing_api.customer())["id"]
    drafts = [await create_draft(billing_api, _line(cents), customer_id=customer) for cents in [-70, 100] * 12]
    paths = [f"/v1/invoices/{draft['id']}/finalize" for draft in drafts]
    replies = await asyncio.gather(*(billing_api.client.post(path) for path in paths))
    final = [reply.json()["invoice"] for reply in replies]
    used = sum(invoice["amount_paid_cents"] for invoice in final)
    amounts = entries(migrated_url)
    assert sum(amount for amount in amounts if amount > 0) == 12 * 70
    assert sum(amount for amount in amounts if amount < 0) == -used
    by_number = sorted(final, key=lambda invoice: str(invoice["invoice_number"]))
    balance = 0
    for invoice in by_number:
        balance += -invoice["total_cents"] if invoice["total_cents"] < 0 else -invoice["amount_paid_cents"]
        assert balance >= 0


async def test_a_finalization_repeated_under_its_key_moves_nothing_again(
    billing_api: BillingApi, migrated_url: str
) -> None:
    """Neither an addition nor a use."""
    customer = (await billing_api.customer())["id"]
    for cents in (-300, 200):
        draft = await create_draft(billing_api, _line(cents), customer_id=customer)
        path = f"/v1/invoices/{draft['id']}/finalize"
        answers = [await billing_api.post(path, status=200, idempotency_key=f"k{cents}") for _ in range(3)]
        assert [answer["invoice"] for answer in answers] == [answers[0]["invoice"]] * 3
    assert entries(migrated_url) == [-200, 300]


async def test_a_payment_request_cannot_use_the_balance(billing_api: BillingApi) -> None:
    """Every other payment method can be requested."""
    customer = (await create_balance(billing_api, 100))["customer_id"]
    invoice = await create_final(billing_api, _line(1000), customer_id=customer)
    error = await take_step(billing_api, invoice, "pay", {"amount_cents": 1, "method": "customer_balance"}, 400)
    assert error["details"][0]["field"] == "method"
    assert await payments(billing_api, invoice) == [("customer_balance", 100)]
    assert {*PaymentMethod} - {"customer_balance"} == {*GivenMethod}
    for method in GivenMethod:
        await take_step(billing_api, invoice, "pay", {"amount_cents": 1, "method": method.value})
    assert len(await payments(billing_api, invoice)) == 1 + len(GivenMethod)


async def test_a_payment_from_the_balance_counts_like_any_other(billing_api: BillingApi) -> None:
    """It prevents voiding and overpayment; the rest is credited or paid."""
    customer = (await create_balance(billing_api, 100))["customer_id"]
    invoice = await create_final(billing_api, _line(1000), customer_id=customer)
    assert (await take_step(billing_api, invoice, "void", status=409))["code"] == "INVOICE_HAS_PAYMENTS"
    assert (await take_step(billing_api, invoice, "pay", {"amount_cents": 901}, 409))["code"] == "OVERPAYMENT"
    reply = await credit(billing_api, invoice, amount_cents=900)
    assert (reply["invoice"]["status"], reply["invoice"]["amount_due_cents"]) == ("paid", 0)


async def test_an_invoice_below_zero_cannot_be_credited_paid_or_voided(billing_api: BillingApi) -> None:
    """Nor can a customer with a balance be deleted."""
    invoice = await create_balance(billing_api, 100)
    for body in ({}, {"amount_cents": 10}, {"lines": [{"line_id": invoice["line_items"][0]["id"]}]}):
        assert (await credit(billing_api, invoice, 409, **body))["error"]["code"] == "NOTHING_TO_CREDIT"
    for name in ("pay", "void", "mark-uncollectible"):
        assert (await take_step(billing_api, invoice, name, status=409))["code"] == "INVOICE_IS_PAID"
    refused = await billing_api.delete(f"/v1/customers/{invoice['customer_id']}", status=409)
    assert refused["error"]["code"] == "CUSTOMER_IN_USE"


@on_every_ledger
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE balance_entries SET amount = 1",
        "UPDATE balance_entries SET customer_id = 'other'",
        "DELETE FROM balance_entries",
    ],
)
async def test_the_database_refuses_changes_of_balance_entries(
    billing_api: BillingApi, migrated_url: str, statement: str
) -> None:
    """Even in SQL by hand."""
    invoice = await create_balance(billing_api, 100)
    engine = create_engine(migrated_url)
    with pytest.raises(sa.exc.DBAPIError, match="balance cannot be"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    assert await balances(billing_api, invoice["customer_id"]) == {"usd": "1"}


@on_every_ledger
async def test_the_database_refuses_a_second_entry_for_an_invoice(billing_api: BillingApi, migrated_url: str) -> None:
    invoice = await create_balance(billing_api, 100)
    again = "INSERT INTO balance_entries SELECT 'c2', account_id, customer_id, invoice_id, currency, 5, 1"
    engine = create_engine(migrated_url)
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql(f"{again} FROM balance_entries")
    engine.dispose()
    assert await balances(billing_api, invoice["customer_id"]) == {"usd": "1"}
