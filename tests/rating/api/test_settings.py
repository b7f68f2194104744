"""The account's billing settings: defaults that hold until something is decided, and what they decide."""

import asyncio
from typing import Any

import pytest

from tests.rating.api.conftest import Office
from tests.rating.api.test_finalize import finalized
from tests.rating.api.test_invoices import drafted
from tests.rating.ledger.fixtures import judged_before

pytestmark = pytest.mark.anyio

DEFAULTS: dict[str, Any] = {
    "currency": "USD",
    "timezone": "UTC",
    "net_terms": 30,
    "invoice_prefix": "INV-",
    "auto_finalize": False,
    "late_usage": "bill_next",
}


async def test_only_what_is_given_changes(office: Office, stranger: Office) -> None:
    """Of one's own account; every change is in the audit log."""
    assert (await office.get("/v1/settings"))["settings"] == DEFAULTS
    first = {"currency": "EUR", "timezone": "Europe/Berlin", "auto_finalize": True}
    assert (await office.patch("/v1/settings", first))["settings"] == DEFAULTS | first
    second = {"late_usage": "hold", "net_terms": 7}
    assert (await office.patch("/v1/settings", second))["settings"] == DEFAULTS | first | second
    assert (await office.get("/v1/settings"))["settings"] == DEFAULTS | first | second
    assert (await stranger.get("/v1/settings"))["settings"] == DEFAULTS
    entries = (await office.get("/v1/audit"))["entries"]
    assert {entry["action"] for entry in entries} == {"settings.update"}
    assert len(entries) == 2


@judged_before
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
async def test_a_wrong_setting_is_named(office: Office, body: dict[str, Any], field: str) -> None:
    """And nothing is changed."""
    error = (await office.patch("/v1/settings", body, status=400))["error"]
    details = error["details"]
    assert (details[0] if isinstance(details, list) else details)["field"] == field
    assert (await office.get("/v1/settings"))["settings"] == DEFAULTS


async def test_they_decide_currency_terms_and_numbers(office: Office) -> None:
    """A new prefix goes on with the same count: a number is never given twice."""
    assert (await finalized(office))["invoice_number"] == "INV-0001"
    await office.patch("/v1/settings", {"currency": "EUR", "net_terms": 0, "invoice_prefix": "2027/"})
    invoice = await finalized(office)
    assert (invoice["invoice_number"], invoice["currency"], invoice["days_until_due"]) == ("2027/0002", "EUR", 0)
    await office.patch("/v1/settings", {"invoice_prefix": ""})
    assert (await finalized(office))["invoice_number"] == "0003"
    assert (await drafted(office, currency="JPY"))["currency"] == "JPY"


async def test_changes_at_once_are_all_kept(office: Office) -> None:
    """Each changes only what it gives, even where nothing was decided before."""
    bodies: list[dict[str, Any]] = [
        {"currency": "EUR"},
        {"net_terms": 9},
        {"auto_finalize": True},
        {"late_usage": "drop"},
    ]
    replies = await asyncio.gather(*(office.client.patch("/v1/settings", json=body) for body in bodies))
    assert [reply.status_code for reply in replies] == [200] * 4
    together = {name: value for body in bodies for name, value in body.items()}
    assert (await office.get("/v1/settings"))["settings"] == DEFAULTS | together
