"""Invoice runs over the API: started, followed to their end, one at a time; upcoming invoices; audits."""

import asyncio
from decimal import Decimal

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from rating.ledger.invoice_runs import SILENT_AFTER
from rating.ledger.invoice_tables import invoice_runs
from rating.runs.run_service import _PROGRESS_SECONDS
from schemas.invoice_run import RunState
from schemas.timestamps import DAY, MINUTE, SECOND, to_iso
from tests.rating.api.billing_api import BillingApi
from tests.rating.api.daily_billing import run_to_end, subscribe_daily
from tests.rating.api.published_schemas import assert_fits
from tests.rating.ledger.fixtures import on_every_ledger
from tests.rating.runs.counted_usage import UsageEvent

pytestmark = pytest.mark.anyio


@on_every_ledger
async def test_a_run_can_be_followed_to_its_end(billing_api: BillingApi) -> None:
    """It reports its results; the next run finds nothing due."""
    subscription = await subscribe_daily(billing_api)
    billing_api.clock.now += DAY
    response = await run_to_end(billing_api)
    assert (response["state"], response["turns"], response["invoices"], response["totals"]) == (
        "done",
        2,
        2,
        {"USD": 200},
    )
    assert (await run_to_end(billing_api))["turns"] == 0
    invoices = (await billing_api.get("/v1/invoices", subscription_id=subscription["id"]))["invoices"]
    assert len(invoices) == 2
    runs = (await billing_api.get("/v1/invoice-runs"))["invoice_runs"]
    assert {run["id"] for run in runs} >= {response["id"]}


async def test_the_upcoming_invoice_equals_the_run_s(billing_api: BillingApi) -> None:
    """Figure by figure, while no more usage is counted; reading it stores nothing."""
    subscription = await subscribe_daily(billing_api)
    await run_to_end(billing_api)
    used = UsageEvent(customer=subscription["customer_id"], at=billing_api.clock.now + MINUTE, value=Decimal("2.5"))
    billing_api.usage.events.append(used)
    ahead = (await billing_api.get(f"/v1/subscriptions/{subscription['id']}/upcoming-invoice"))["upcoming_invoice"]
    assert (ahead["id"], ahead["total_cents"]) == (None, 100 + 125)
    assert len((await billing_api.get("/v1/invoices"))["invoices"]) == 1
    billing_api.clock.now += 2 * DAY
    await run_to_end(billing_api, {"as_of": ahead["bills_at"]})
    made = (await billing_api.get("/v1/invoices"))["invoices"][0]
    changing = {"id", "created_at", "updated_at", "bills_at"}
    lines = [{name: line[name] for name in line.keys() - changing} for line in made.pop("line_items")]
    assert lines == [{name: line[name] for name in line.keys() - changing} for line in ahead.pop("line_items")]
    assert {n: made[n] for n in made.keys() - changing} == {n: ahead[n] for n in ahead.keys() - changing}


async def test_a_change_of_plan_is_one_invoice_that_can_be_paid(billing_api: BillingApi) -> None:
    """The rest of the old fee and the share of the new one, each rounded separately; no day is paid twice."""
    await billing_api.plan()
    await billing_api.plan("team", fixed_fees=[{"code": "seats", "name": "Seats", "amount_cents": 5000}])
    await billing_api.patch("/v1/settings", {"auto_finalize": True})
    made = await billing_api.subscription()
    billing_api.clock.now += 20 * DAY
    await run_to_end(billing_api)
    body = {"target_plan_code": "team", "change_mode": "now"}
    changed = await billing_api.post(f"/v1/subscriptions/{made['id']}/change-plan", body, status=200)
    new = changed["new_subscription"]["id"]
    ahead = (await billing_api.get(f"/v1/subscriptions/{new}/upcoming-invoice"))["upcoming_invoice"]
    before = {invoice["id"] for invoice in (await billing_api.get("/v1/invoices"))["invoices"]}
    await run_to_end(billing_api)
    found = (await billing_api.get("/v1/invoices"))["invoices"]
    [invoice] = [each for each in found if each["id"] not in before]
    assert (invoice["subscription_id"], invoice["status"], invoice["total_cents"]) == (new, "open", 4464 - 1786)
    assert ahead["total_cents"] == invoice["total_cents"]
    assert [(line["reference"], line["amount_cents"], line["description"]) for line in invoice["line_items"]] == [
        ("fixed:seats", 4464, "Seats (25 of 28 days)"),
        ("refund:platform", -1786, "Platform, unused (25 of 28 days)"),
    ]
    assert invoice["line_items"][1]["period_start"] == changed["old_subscription"]["ended_at"]


async def test_prepaid_days_after_a_shortened_period_are_refunded_once_by_a_change_of_plan(
    billing_api: BillingApi,
) -> None:
    """On the new subscription's invoice, with the rest of the old fee; the old one has nothing left to refund."""
    await billing_api.plan()
    await billing_api.plan("team", fixed_fees=[{"code": "seats", "name": "Seats", "amount_cents": 5000}])
    made = await billing_api.subscription()
    billing_api.clock.now += 20 * DAY
    await run_to_end(billing_api)
    shorter = {"next_renewal_date": to_iso(billing_api.clock.now + 5 * DAY)}
    await billing_api.patch(f"/v1/subscriptions/{made['id']}", shorter)
    body = {"target_plan_code": "team", "change_mode": "now"}
    await billing_api.post(f"/v1/subscriptions/{made['id']}/change-plan", body, status=200)
    billing_api.clock.now += 10 * DAY
    await run_to_end(billing_api)
    lines = [line for invoice in (await billing_api.get("/v1/invoices"))["invoices"] for line in invoice["line_items"]]
    assert [line["amount_cents"] for line in lines if line["reference"] == "refund:platform"] == [-1786]


async def test_an_invoice_can_be_audited_over_the_api(billing_api: BillingApi) -> None:
    """The audit has both quantities of each line, and says whether they agree."""
    subscription = await subscribe_daily(billing_api)
    used = UsageEvent(customer=subscription["customer_id"], at=billing_api.clock.now + MINUTE, value=Decimal(4))
    billing_api.usage.events.append(used)
    billing_api.clock.now += DAY
    await run_to_end(billing_api)
    listed = await billing_api.get("/v1/invoices", subscription_id=subscription["id"])
    assert_fits(listed, "InvoiceListResponse")
    invoices = listed["invoices"]
    invoice = next(one for one in invoices if any(line["usage"] for line in one["line_items"]))
    assert_fits(await billing_api.get(f"/v1/invoices/{invoice['id']}"), "InvoiceResponse")
    audit = (await billing_api.get(f"/v1/invoices/{invoice['id']}/audit"))["audit"]
    line = audit["lines"][0]
    assert (audit["right"], line["billed_quantity"], line["counted_quantity"], line["difference"]) == (
        True,
        "4",
        "4",
        "0",
    )
    billing_api.usage.events[0] = UsageEvent(customer="nobody", at=0, value=Decimal(0))
    audit = (await billing_api.get(f"/v1/invoices/{invoice['id']}/audit"))["audit"]
    assert (audit["right"], audit["lines"][0]["difference"]) == (False, "-4")


async def test_what_is_not_due_yet_cannot_be_billed(billing_api: BillingApi) -> None:
    """A time in the future, or an invalid one."""
    later = to_iso(billing_api.clock.now + 1)
    assert (
        "not due yet" in (await billing_api.post("/v1/invoice-runs", {"as_of": later}, status=400))["error"]["message"]
    )
    await billing_api.post("/v1/invoice-runs", {"as_of": "tomorrow"}, status=400)
    error = (await billing_api.post("/v1/invoice-runs", {"dry": True}, status=400))["error"]
    assert "did you mean dry_run?" in error["message"]


async def test_a_run_whose_process_ended_is_not_shown_as_running(billing_api: BillingApi) -> None:
    response = await run_to_end(billing_api)
    record = await billing_api.ledger.invoice_runs.get(billing_api.key.account, response["id"])
    await billing_api.ledger.invoice_runs.put(replace(record, state=RunState.RUNNING))
    assert (await billing_api.get(f"/v1/invoice-runs/{response['id']}"))["invoice_run"]["state"] == "running"
    last_report = sa.update(invoice_runs).values(updated_at=0)
    await billing_api.ledger.invoice_runs._database.write(lambda connection: connection.execute(last_report))
    for shown in (
        (await billing_api.get(f"/v1/invoice-runs/{response['id']}"))["invoice_run"],
        (await billing_api.get("/v1/invoice-runs"))["invoice_runs"][0],
    ):
        assert (shown["state"], "has ended" in shown["error"]) == ("failed", True)


def test_a_killed_process_is_noticed_within_seconds() -> None:
    """The run of a killed gateway must not read `running` for long; a live one reports twice a second."""
    assert 10 * _PROGRESS_SECONDS * SECOND <= SILENT_AFTER <= 15 * SECOND


@pytest.mark.long
@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_processes_with_different_clocks_agree_on_what_runs(billing_api: BillingApi) -> None:
    """On PostgreSQL its clock decides: that of the reading process may be a minute off."""
    response = await run_to_end(billing_api)
    record = await billing_api.ledger.invoice_runs.get(billing_api.key.account, response["id"])
    await billing_api.ledger.invoice_runs.put(replace(record, state=RunState.RUNNING))
    for skew in (-MINUTE, 2 * MINUTE):
        billing_api.clock.now += skew
        assert (await billing_api.get(f"/v1/invoice-runs/{response['id']}"))["invoice_run"]["state"] == "running"


@on_every_ledger
async def test_one_run_of_an_account_at_a_time(billing_api: BillingApi) -> None:
    """A second request meanwhile is refused; nothing is billed twice."""
    await subscribe_daily(billing_api)
    replies = await asyncio.gather(*(billing_api.client.post("/v1/invoice-runs") for _ in range(5)))
    codes = sorted(reply.status_code for reply in replies)
    assert codes[0] == 202
    assert set(codes[1:]) <= {202, 409}
    await finished_all(billing_api)
    assert len((await billing_api.get("/v1/invoices"))["invoices"]) == 1


async def finished_all(billing_api: BillingApi) -> None:
    async with asyncio.timeout(30):
        while any(  # noqa: ASYNC110 - the run is a task of the app
            run["state"] == "running" for run in (await billing_api.get("/v1/invoice-runs"))["invoice_runs"]
        ):
            await asyncio.sleep(0.01)


async def test_a_canceled_subscription_has_no_upcoming_invoice(billing_api: BillingApi) -> None:
    """The error says so, as the API describes; an unknown subscription is not found."""
    document = (await billing_api.client.get("/openapi.json")).json()
    assert "409" in document["paths"]["/v1/subscriptions/{id}/upcoming-invoice"]["get"]["responses"]
    subscription = await subscribe_daily(billing_api)
    path = f"/v1/subscriptions/{subscription['id']}"
    await billing_api.post(f"{path}/cancel", {"cancel_mode": "now"}, status=200)
    billing_api.clock.now += DAY
    await run_to_end(billing_api)
    error = (await billing_api.get(f"{path}/upcoming-invoice", status=409))["error"]
    assert error["code"] == "NOTHING_TO_BILL"
    await billing_api.get("/v1/subscriptions/nobody/upcoming-invoice", status=404)


@pytest.mark.parametrize(
    ("late_usage", "invoices", "held", "dropped"),
    [("bill_next", 1, 0, {}), ("hold", 2, 1, {}), ("drop", 1, 0, {"USD": 125})],
)
async def test_a_run_reports_late_usage_by_policy(
    billing_api: BillingApi, late_usage: str, invoices: int, held: int, dropped: dict[str, int]
) -> None:
    """Billed, on a held draft found by its status, or dropped and in the audit log."""
    await billing_api.patch("/v1/settings", {"late_usage": late_usage, "auto_finalize": True})
    subscription = await subscribe_daily(billing_api)
    first, billing_api.clock.now = billing_api.clock.now, billing_api.clock.now + DAY
    await run_to_end(billing_api)
    used = UsageEvent(customer=subscription["customer_id"], at=first + MINUTE, value=Decimal("2.5"))
    billing_api.usage.events.append(used)
    billing_api.clock.now += DAY
    response = await run_to_end(billing_api)
    assert (response["invoices"], response["held"], response["dropped"]) == (invoices, held, dropped)
    path = f"/v1/invoices?status=draft&subscription_id={subscription['id']}"
    drafts = (await billing_api.get(path))["invoices"]
    assert [(draft["total_cents"], draft["metadata"]) for draft in drafts] == [(125, {"late_usage": "hold"})] * held
    noted = (await billing_api.get("/v1/audit", subject=subscription["id"]))["entries"]
    drops = [entry for entry in noted if entry["action"] == "usage.drop"]
    assert [(entry["request_id"], entry["after"]["lines"][0]["unit_amount"]) for entry in drops] == [
        (response["id"], cents) for cents in dropped.values()
    ]


async def test_a_canceled_subscription_is_billed_until_no_usage_can_be_late(billing_api: BillingApi) -> None:
    """Its last invoice is that of late usage, if any."""
    subscription = await subscribe_daily(billing_api)
    path = f"/v1/subscriptions/{subscription['id']}"
    billing_api.clock.now += DAY // 2
    await run_to_end(billing_api)
    await billing_api.post(f"{path}/cancel", {"cancel_mode": "now"}, status=200)
    await run_to_end(billing_api)
    ahead = (await billing_api.get(f"{path}/upcoming-invoice"))["upcoming_invoice"]
    assert (ahead["bills_at"], ahead["line_items"]) == (to_iso(billing_api.clock.now + 35 * DAY), [])
    billing_api.clock.now += 35 * DAY
    assert (await run_to_end(billing_api))["turns"] == 1
    assert (await billing_api.get(f"{path}/upcoming-invoice", status=409))["error"]["code"] == "NOTHING_TO_BILL"


async def test_another_account_sees_no_runs_upcoming_invoices_or_audits(
    billing_api: BillingApi, other_account: BillingApi
) -> None:
    subscription = await subscribe_daily(billing_api)
    run = await run_to_end(billing_api)
    invoice = (await billing_api.get("/v1/invoices"))["invoices"][0]
    for path in (
        f"/v1/invoice-runs/{run['id']}",
        f"/v1/subscriptions/{subscription['id']}/upcoming-invoice",
        f"/v1/invoices/{invoice['id']}/audit",
    ):
        await other_account.get(path, status=404)
    assert (await other_account.get("/v1/invoice-runs"))["invoice_runs"] == []
    assert (await run_to_end(other_account))["turns"] == 0
