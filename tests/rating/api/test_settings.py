"""The account's billing settings, their defaults and their effect."""

import asyncio
from typing import Any

import pytest

from tests.rating.api.billing_api import BillingApi
from tests.rating.api.invoice_steps import create_draft, create_final
from tests.rating.ledger.fixtures import on_every_ledger, on_sqlite

pytestmark = pytest.mark.anyio

DEFAULTS: dict[str, Any] = {
    "currency": "USD",
    "timezone": "UTC",
    "net_terms": 30,
    "invoice_prefix": "INV-",
    "auto_finalize": False,
    "late_usage": "bill_next",
}


@on_every_ledger
async def test_only_given_settings_change(billing_api: BillingApi, other_account: BillingApi) -> None:
    """Of this account only; every change is in the audit log."""
    assert (await billing_api.get("/v1/settings"))["settings"] == DEFAULTS
    first = {"currency": "EUR", "timezone": "Europe/Berlin", "auto_finalize": True}
    assert (await billing_api.patch("/v1/settings", first))["settings"] == DEFAULTS | first
    second = {"late_usage": "hold", "net_terms": 7}
    assert (await billing_api.patch("/v1/settings", second))["settings"] == DEFAULTS | first | second
    assert (await billing_api.get("/v1/settings"))["settings"] == DEFAULTS | first | second
    assert (await other_account.get("/v1/settings"))["settings"] == DEFAULTS
    entries = (await billing_api.get("/v1/audit"))["entries"]
    assert {entry["action"] for entry in entries} == {"settings.update"}
    assert len(entries) == 2


@on_sqlite
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"currency": "XXX"}, "currency"),
        ({"currency": "usd"}, "currency"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"net_terms": -1}, "net_terms"),
        ({"net_terms": None}, "net_terms"),
        ({"invoice_prefix": "INV-1"}, "invoice_prefix"),
        ({"invoice_prefix": "x" * 17}, "invoice_prefix"),
        ({"late_usage": "forget"}, "late_usage"),
        ({"auto_finalise": True}, "auto_finalise"),
    ],
)
async def test_an_invalid_setting_is_named(billing_api: BillingApi, body: dict[str, Any], field: str) -> None:
    """And nothing is changed."""
    error = (await billing_api.patch("/v1/settings", body, status=400))["error"]
    details = error["details"]
    assert (details[0] if isinstance(details, list) else details)["field"] == field
    assert (await billing_api.get("/v1/settings"))["settings"] == DEFAULTS


async def test_settings_decide_currency_terms_and_numbers(billing_api: BillingApi) -> None:
    """A new prefix continues the same count: a number is never given twice."""
    assert (await create_final(billing_api))["invoice_number"] == "INV-0001"
    await billing_api.patch("/v1/settings", {"currency": "EUR", "net_terms": 0, "invoice_prefix": "2027/"})
    invoice = await create_final(billing_api)
    assert (invoice["invoice_number"], invoice["currency"], invoice["days_until_due"]) == ("2027/0002", "EUR", 0)
    await billing_api.patch("/v1/settings", {"invoice_prefix": ""})
    assert (await create_final(billing_api))["invoice_number"] == "0003"
    assert (await create_draft(billing_api, currency="JPY"))["currency"] == "JPY"


@on_every_ledger
async def test_concurrent_changes_are_all_stored(billing_api: BillingApi) -> None:
    """Each changes only its fields, also where no setting was stored before."""
    bodies: list[dict[str, Any]] = [
        {"currency": "EUR"},
        {"net_terms": 9},
        {"auto_finalize": True},
        {"late_usage": "drop"},
    ]
    replies = await asyncio.gather(*(billing_api.client.patch("/v1/settings", json=body) for body in bodies))
    assert [reply.status_code for reply in replies] == [200] * 4
    together = {name: value for body in bodies for name, value in body.items()}
    assert (await billing_api.get("/v1/settings"))["settings"] == DEFAULTS | together
