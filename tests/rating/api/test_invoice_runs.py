"""Runs over the API: begun, followed to their end, and never in each other's way; the invoice ahead; the audit."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from rating.ledger.invoice_runs import SILENT
from schemas.invoice_run import RunState
from schemas.timestamps import DAY, MINUTE, to_iso
from tests.rating.api.conftest import Office
from tests.rating.api.published_schemas import assert_fits
from tests.rating.runs.counted_usage import Used

pytestmark = pytest.mark.anyio

METER = {
    "code": "tokens",
    "name": "Tokens",
    "event_name": "tokens",
    "aggregation": "sum",
    "value_property": "$.value",
}
PLAN = {
    "code": "daily",
    "name": "Daily",
    "currency": "USD",
    "interval": "day",
    "fixed_fees": [{"code": "base", "name": "Base", "amount_cents": 100, "timing": "advance"}],
    "usage_prices": [
        {"code": "tokens", "name": "Tokens", "meter": "tokens", "price": {"model": "per_unit", "unit_price": "0.5"}}
    ],
}


async def subscribed(office: Office) -> dict[str, Any]:
    """From the start of today's minute on."""
    await office.post("/v1/meters", METER)
    await office.post("/v1/plans", PLAN)
    customer = await office.customer()
    new = {
        "customer_id": customer["id"],
        "plan_code": "daily",
        "start_date": to_iso(office.clock.now),
        "initial_status": "active",
    }
    made: dict[str, Any] = (await office.post("/v1/subscriptions", new))["subscription"]
    return made


async def finished(office: Office, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A run from its beginning to its end."""
    begun = (await office.post("/v1/invoice-runs", body or {}, status=202))["invoice_run"]
    async with asyncio.timeout(30):
        while True:
            told: dict[str, Any] = (await office.get(f"/v1/invoice-runs/{begun['id']}"))["invoice_run"]
            if told["state"] != "running":
                return told
            await asyncio.sleep(0.01)


async def test_a_run_is_followed_to_its_end(office: Office) -> None:
    """It tells what it did; the next one has nothing to do."""
    subscription = await subscribed(office)
    office.clock.now += DAY
    told = await finished(office)
    assert (told["state"], told["turns"], told["invoices"], told["totals"]) == ("done", 2, 2, {"USD": 200})
    assert (await finished(office))["turns"] == 0
    invoices = (await office.get("/v1/invoices", subscription_id=subscription["id"]))["invoices"]
    assert len(invoices) == 2
    runs = (await office.get("/v1/invoice-runs"))["invoice_runs"]
    assert {run["id"] for run in runs} >= {told["id"]}


async def test_the_upcoming_invoice_is_what_the_run_will_make(office: Office) -> None:
    """Figure by figure, as long as nothing else is counted; and looking keeps nothing."""
    subscription = await subscribed(office)
    await finished(office)
    used = Used(customer=subscription["customer_id"], at=office.clock.now + MINUTE, value=Decimal("2.5"))
    office.usage.events.append(used)
    ahead = (await office.get(f"/v1/subscriptions/{subscription['id']}/upcoming-invoice"))["upcoming_invoice"]
    assert (ahead["id"], ahead["total_cents"]) == (None, 100 + 125)
    assert len((await office.get("/v1/invoices"))["invoices"]) == 1
    office.clock.now += 2 * DAY
    await finished(office, {"as_of": ahead["bills_at"]})
    made = (await office.get("/v1/invoices"))["invoices"][0]
    changing = {"id", "created_at", "updated_at", "bills_at"}
    lines = [{name: line[name] for name in line.keys() - changing} for line in made.pop("line_items")]
    assert lines == [{name: line[name] for name in line.keys() - changing} for line in ahead.pop("line_items")]
    assert {n: made[n] for n in made.keys() - changing} == {n: ahead[n] for n in ahead.keys() - changing}


async def test_a_change_of_plan_is_one_invoice_that_can_be_paid(office: Office) -> None:
    """What is left of the old fee and the new one's share, each rounded alone; nobody pays for a day twice."""
    await office.plan()
    await office.plan("team", fixed_fees=[{"code": "seats", "name": "Seats", "amount_cents": 5000}])
    await office.patch("/v1/settings", {"auto_finalize": True})
    made = await office.subscription()
    office.clock.now += 20 * DAY
    await finished(office)
    asked = {"target_plan_code": "team", "change_mode": "now"}
    changed = await office.post(f"/v1/subscriptions/{made['id']}/change-plan", asked, status=200)
    new = changed["new_subscription"]["id"]
    ahead = (await office.get(f"/v1/subscriptions/{new}/upcoming-invoice"))["upcoming_invoice"]
    before = {invoice["id"] for invoice in (await office.get("/v1/invoices"))["invoices"]}
    await finished(office)
    found = (await office.get("/v1/invoices"))["invoices"]
    [invoice] = [each for each in found if each["id"] not in before]
    assert (invoice["subscription_id"], invoice["status"], invoice["total_cents"]) == (new, "open", 4464 - 1786)
    assert ahead["total_cents"] == invoice["total_cents"]
    assert [(line["reference"], line["amount_cents"], line["description"]) for line in invoice["line_items"]] == [
        ("fixed:seats", 4464, "Seats (25 of 28 days)"),
        ("refund:platform", -1786, "Platform, unused (25 of 28 days)"),
    ]
    assert invoice["line_items"][1]["period_start"] == changed["old_subscription"]["ended_at"]


async def test_days_paid_beyond_a_shortened_period_are_given_back_once_by_a_change(office: Office) -> None:
    """By the one that takes over, with the rest of the old fee: the old one has nothing left to give back."""
    await office.plan()
    await office.plan("team", fixed_fees=[{"code": "seats", "name": "Seats", "amount_cents": 5000}])
    made = await office.subscription()
    office.clock.now += 20 * DAY
    await finished(office)
    shorter = {"next_renewal_date": to_iso(office.clock.now + 5 * DAY)}
    await office.patch(f"/v1/subscriptions/{made['id']}", shorter)
    asked = {"target_plan_code": "team", "change_mode": "now"}
    await office.post(f"/v1/subscriptions/{made['id']}/change-plan", asked, status=200)
    office.clock.now += 10 * DAY
    await finished(office)
    lines = [line for invoice in (await office.get("/v1/invoices"))["invoices"] for line in invoice["line_items"]]
    assert [line["amount_cents"] for line in lines if line["reference"] == "refund:platform"] == [-1786]


async def test_an_audit_is_asked_for_over_the_api(office: Office) -> None:
    """Of an invoice as published, it tells both quantities of each line, and whether all is right."""
    subscription = await subscribed(office)
    used = Used(customer=subscription["customer_id"], at=office.clock.now + MINUTE, value=Decimal(4))
    office.usage.events.append(used)
    office.clock.now += DAY
    await finished(office)
    listed = await office.get("/v1/invoices", subscription_id=subscription["id"])
    assert_fits(listed, "InvoiceListResponse")
    invoices = listed["invoices"]
    invoice = next(one for one in invoices if any(line["usage"] for line in one["line_items"]))
    assert_fits(await office.get(f"/v1/invoices/{invoice['id']}"), "InvoiceResponse")
    audit = (await office.get(f"/v1/invoices/{invoice['id']}/audit"))["audit"]
    line = audit["lines"][0]
    assert (audit["right"], line["billed_quantity"], line["counted_quantity"], line["difference"]) == (
        True,
        "4",
        "4",
        "0",
    )
    office.usage.events[0] = Used(customer="nobody", at=0, value=Decimal(0))
    audit = (await office.get(f"/v1/invoices/{invoice['id']}/audit"))["audit"]
    assert (audit["right"], audit["lines"][0]["difference"]) == (False, "-4")


async def test_what_is_not_due_yet_cannot_be_billed(office: Office) -> None:
    """A moment that has not come, or none at all."""
    later = to_iso(office.clock.now + 1)
    assert "not due yet" in (await office.post("/v1/invoice-runs", {"as_of": later}, status=400))["error"]["message"]
    await office.post("/v1/invoice-runs", {"as_of": "tomorrow"}, status=400)
    error = (await office.post("/v1/invoice-runs", {"dry": True}, status=400))["error"]
    assert "did you mean dry_run?" in error["message"]


async def test_a_run_whose_process_ended_does_not_seem_to_go_on(office: Office) -> None:
    """Nobody would wait for it in vain."""
    told = await finished(office)
    record = await office.ledger.invoice_runs.get(office.key.account, told["id"])
    await office.ledger.invoice_runs.put(replace(record, state=RunState.RUNNING))
    assert (await office.get(f"/v1/invoice-runs/{told['id']}"))["invoice_run"]["state"] == "running"
    office.clock.now += SILENT + 1
    for shown in (
        (await office.get(f"/v1/invoice-runs/{told['id']}"))["invoice_run"],
        (await office.get("/v1/invoice-runs"))["invoice_runs"][0],
    ):
        assert (shown["state"], "has ended" in shown["error"]) == ("failed", True)


async def test_one_run_of_an_account_at_a_time(office: Office) -> None:
    """Whoever asks for another meanwhile is told; none of them does anything twice."""
    await subscribed(office)
    replies = await asyncio.gather(*(office.client.post("/v1/invoice-runs") for _ in range(5)))
    codes = sorted(reply.status_code for reply in replies)
    assert codes[0] == 202
    assert set(codes[1:]) <= {202, 409}
    await finished_all(office)
    assert len((await office.get("/v1/invoices"))["invoices"]) == 1


async def finished_all(office: Office) -> None:
    async with asyncio.timeout(30):
        while any(  # noqa: ASYNC110 - they are watched from outside
            run["state"] == "running" for run in (await office.get("/v1/invoice-runs"))["invoice_runs"]
        ):
            await asyncio.sleep(0.01)


async def test_nothing_lies_ahead_of_what_is_over(office: Office) -> None:
    """It says so, and a subscription that is not there is not found."""
    subscription = await subscribed(office)
    path = f"/v1/subscriptions/{subscription['id']}"
    await office.post(f"{path}/cancel", {"cancel_mode": "now"}, status=200)
    office.clock.now += DAY
    await finished(office)
    error = (await office.get(f"{path}/upcoming-invoice", status=409))["error"]
    assert error["code"] == "NOTHING_TO_BILL"
    await office.get("/v1/subscriptions/nobody/upcoming-invoice", status=404)


@pytest.mark.parametrize(
    ("late_usage", "invoices", "held", "dropped"),
    [("bill_next", 1, 0, {}), ("hold", 2, 1, {}), ("drop", 1, 0, {"USD": 125})],
)
async def test_a_run_tells_what_became_of_late_usage(
    office: Office, late_usage: str, invoices: int, held: int, dropped: dict[str, int]
) -> None:
    """As the account wants it: billed, on a draft that is found by its status, or told and in the audit log."""
    await office.patch("/v1/settings", {"late_usage": late_usage, "auto_finalize": True})
    subscription = await subscribed(office)
    first, office.clock.now = office.clock.now, office.clock.now + DAY
    await finished(office)
    used = Used(customer=subscription["customer_id"], at=first + MINUTE, value=Decimal("2.5"))
    office.usage.events.append(used)
    office.clock.now += DAY
    told = await finished(office)
    assert (told["invoices"], told["held"], told["dropped"]) == (invoices, held, dropped)
    wanted = f"/v1/invoices?status=draft&subscription_id={subscription['id']}"
    drafts = (await office.get(wanted))["invoices"]
    assert [(draft["total_cents"], draft["metadata"]) for draft in drafts] == [(125, {"late_usage": "hold"})] * held
    noted = (await office.get("/v1/audit", subject=subscription["id"]))["entries"]
    drops = [entry for entry in noted if entry["action"] == "usage.drop"]
    assert [(entry["request_id"], entry["after"]["lines"][0]["unit_amount"]) for entry in drops] == [
        (told["id"], cents) for cents in dropped.values()
    ]


async def test_what_is_over_is_looked_at_until_nothing_more_can_come(office: Office) -> None:
    """Its last invoice is that of what comes late, if anything does."""
    subscription = await subscribed(office)
    path = f"/v1/subscriptions/{subscription['id']}"
    office.clock.now += DAY // 2
    await finished(office)
    await office.post(f"{path}/cancel", {"cancel_mode": "now"}, status=200)
    await finished(office)
    ahead = (await office.get(f"{path}/upcoming-invoice"))["upcoming_invoice"]
    assert (ahead["bills_at"], ahead["line_items"]) == (to_iso(office.clock.now + 35 * DAY), [])
    office.clock.now += 35 * DAY
    assert (await finished(office))["turns"] == 1
    assert (await office.get(f"{path}/upcoming-invoice", status=409))["error"]["code"] == "NOTHING_TO_BILL"


async def test_a_stranger_sees_none_of_it(office: Office, stranger: Office) -> None:
    """Neither runs, nor what lies ahead, nor audits."""
    subscription = await subscribed(office)
    run = await finished(office)
    invoice = (await office.get("/v1/invoices"))["invoices"][0]
    for path in (
        f"/v1/invoice-runs/{run['id']}",
        f"/v1/subscriptions/{subscription['id']}/upcoming-invoice",
        f"/v1/invoices/{invoice['id']}/audit",
    ):
        await stranger.get(path, status=404)
    assert (await stranger.get("/v1/invoice-runs"))["invoice_runs"] == []
    assert (await finished(stranger))["turns"] == 0
