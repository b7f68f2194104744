"""The public page of an invoice, safe with any text."""

import pytest

from tests.rating.api.billing_api import BillingApi
from tests.rating.api.invoice_steps import VAT, create_draft, create_final, take_step
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio


def _path(url: str) -> str:
    return url.removeprefix("https://bill.example")


@on_every_ledger
async def test_the_page_shows_the_invoice_without_a_key(billing_api: BillingApi) -> None:
    """Number, customer, lines, taxes and amount due, with the currency's decimals."""
    customer = (await billing_api.customer(name="Acme Corp", tax_rates=VAT))["id"]
    line = {"description": "API calls", "quantity": 3, "unit_amount_cents": 123456}
    invoice = await create_final(billing_api, line, customer_id=customer)
    await take_step(billing_api, invoice, "pay", {"amount_cents": 100000})
    reply = await billing_api.client.get(_path(invoice["public_invoice_url"]), headers={"authorization": ""})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    for text in (
        "Invoice INV-0001",
        "Acme Corp",
        "API calls",
        "1,234.56 USD",
        "VAT 19 % on 3,703.68 USD",
        "703.70 USD",
    ):
        assert text in reply.text
    assert 'To be paid</td><td class="n">3,407.38 USD' in reply.text


async def test_texts_are_escaped_and_nothing_is_loaded_from_other_hosts(billing_api: BillingApi) -> None:
    """No script, image or frame from any description; caches do not store the page."""
    attack = "<script>alert(1)</script>\"'><img src=//evil.example>"
    customer = (await billing_api.customer(name=attack, tax_rates=[{"name": attack, "percent": "1"}]))["id"]
    line = {"description": attack, "unit_amount_cents": 1}
    texts = {"description": attack, "customer_memo": attack, "footer": attack}
    invoice = await create_final(billing_api, line, customer_id=customer, **texts)
    reply = await billing_api.client.get(_path(invoice["public_invoice_url"]))
    assert reply.text.count("&lt;script&gt;") == 6
    assert "<script" not in reply.text
    assert "<img" not in reply.text
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'none'" in policy
    assert "unsafe" not in policy
    assert (reply.headers["referrer-policy"], reply.headers["x-robots-tag"]) == ("no-referrer", "noindex")
    assert "no-store" in reply.headers["cache-control"]


async def test_yen_have_no_decimals(billing_api: BillingApi) -> None:
    """And Kuwaiti dinars have three."""
    for currency, shown in (("JPY", "1,234 JPY"), ("KWD", "1.234 KWD")):
        invoice = await create_final(billing_api, {"unit_amount_cents": 1234}, currency=currency)
        assert shown in (await billing_api.client.get(_path(invoice["public_invoice_url"]))).text


async def test_other_addresses_show_nothing(billing_api: BillingApi) -> None:
    """Neither a guess nor the id of an invoice; the page refuses POST."""
    invoice, draft = await create_final(billing_api), await create_draft(billing_api)
    path = _path(invoice["public_invoice_url"])
    ids = f"/inv/{invoice['id']}", f"/inv/{draft['id']}"
    for guess in (*ids, "/inv/x", "/inv/é", "/inv/a%00b", path[:-1], f"{path}0"):
        reply = await billing_api.client.get(guess)
        assert (reply.status_code, "There is no invoice" in reply.text) == (404, True)
    assert (await billing_api.client.post(path)).status_code == 405
    assert (await billing_api.client.head(path)).status_code == 200


async def test_an_invoice_below_zero_shows_the_balance_it_filled(billing_api: BillingApi) -> None:
    """Without a due date, a payment date or an amount due."""
    invoice = await create_final(billing_api, {"unit_amount_cents": -1600})
    page = (await billing_api.client.get(_path(invoice["public_invoice_url"]))).text
    assert "Nothing is to be paid. 16.00 USD was put on the balance" in page
    assert 'Total</td><td class="n">-16.00 USD' in page
    assert 'Put on the balance</td><td class="n">16.00 USD' in page
    assert not any(word in page for word in ("Due:", "Paid:", "To be paid"))


async def test_payments_from_the_balance_and_others_are_shown_separately(billing_api: BillingApi) -> None:
    """Each with its sum, and the rest."""
    customer = (await create_final(billing_api, {"unit_amount_cents": -1600}))["customer_id"]
    invoice = await create_final(billing_api, {"unit_amount_cents": 2000}, customer_id=customer)
    await take_step(billing_api, invoice, "pay", {"amount_cents": 100})
    page = (await billing_api.client.get(_path(invoice["public_invoice_url"]))).text
    assert 'Paid from the balance</td><td class="n">-16.00 USD' in page
    assert 'Paid</td><td class="n">-1.00 USD' in page
    assert 'To be paid</td><td class="n">3.00 USD' in page
    assert "Nothing is to be paid" not in page
