"""Plans over the API: created, versioned, published, archived; a published version never changes."""

import asyncio
from typing import Any

import pytest

from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger, on_sqlite

pytestmark = pytest.mark.anyio

PER_CALL = {
    "code": "calls",
    "name": "Calls",
    "meter": "calls",
    "price": {"model": "per_unit", "unit_price": "0.0000001"},
}
MONTHLY = {"currency": "USD", "interval": "month"}


@on_every_ledger
async def test_a_plan_is_stored_as_given(billing_api: BillingApi) -> None:
    """Defaults are filled in, decimals keep every digit, and it is published at once."""
    await billing_api.meter()
    price = PER_CALL | {"group_by": ["region"]}
    made = await billing_api.plan(usage_prices=[price], description="For teams", trial_days=14)
    version = made["newest_version"]
    assert (made["code"], made["name"], made["description"], made["draft_version"]) == ("pro", "Pro", "For teams", None)
    assert (version["version"], version["interval_count"], version["trial_days"]) == (1, 1, 14)
    assert version["fixed_fees"] == [
        {"code": "platform", "name": "Platform", "amount_cents": 2000, "timing": "advance"}
    ]
    usage_price = version["usage_prices"][0]
    assert (usage_price["meter"], usage_price["group_by"]) == ("calls", ["region"])
    assert (usage_price["price"]["model"], usage_price["price"]["unit_price"]) == ("per_unit", "0.0000001")
    assert version["published_at"] is not None
    assert (await billing_api.get("/v1/plans/pro"))["plan"] == made
    assert (await billing_api.get("/v1/plans"))["plans"] == [made]


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"currency": "XXX"}, "currency", "no ISO 4217"),
        ({"interval": "fortnight"}, "interval", "fortnight"),
        ({"interval_count": 37}, "interval_count", "at most 36"),
        ({"interval_count": 0}, "interval_count", ">= 1"),
        ({"trial_days": -1}, "trial_days", ">= 0"),
        ({"code": "Pro Plan"}, "code", "regex"),
        ({"fixed_fees": [{"code": "a", "name": "A", "amount_cents": -1}]}, "fixed_fees[0].amount_cents", ">= 0"),
        ({"fixed_fees": [{"code": "a", "name": "A", "amount_cents": 1.5}]}, "fixed_fees[0].amount_cents", "int"),
        ({"fixed_fees": [{"code": "a", "name": "A", "amount": 1}]}, "fixed_fees[0].amount", "amount_cents"),
        ({"fixed_fees": [{"code": "calls", "name": "A", "amount_cents": 1}]}, "usage_prices[0].code", "used before"),
        ({"usage_prices": [PER_CALL | {"meter": "other"}]}, "usage_prices[0].meter", "no meter 'other'"),
        ({"usage_prices": [PER_CALL | {"meter": "old"}]}, "usage_prices[0].meter", "'old' is archived"),
        ({"usage_prices": [PER_CALL | {"group_by": ["zone"]}]}, "usage_prices[0].group_by", "it has region"),
        (
            {"usage_prices": [PER_CALL | {"price": {"model": "volume", "tiers": []}}]},
            "usage_prices[0].price.tiers",
            "at least one tier",
        ),
        (
            {"usage_prices": [PER_CALL | {"price": {"model": "per_unit", "unit_price": "1", "unit": 2}}]},
            "usage_prices[0].price.unit",
            "unit_price",
        ),
    ],
)
async def test_an_invalid_plan_is_refused_by_field(
    billing_api: BillingApi, changed: dict[str, Any], field: str, says: str
) -> None:
    """With the expected value, and nothing is stored."""
    await billing_api.meter()
    await billing_api.meter("old")
    await billing_api.delete("/v1/meters/old")
    body = {"code": "pro", "name": "Pro", **MONTHLY, "usage_prices": [PER_CALL]} | changed
    error = (await billing_api.post("/v1/plans", body, status=400))["error"]
    details = error["details"]
    found = details[0] if isinstance(details, list) else details
    assert (found["field"], says in error["message"]) == (field, True), error
    assert (await billing_api.get("/v1/plans"))["plans"] == []


@on_every_ledger
async def test_a_code_is_unique_in_an_account(billing_api: BillingApi, other_account: BillingApi) -> None:
    """Also against archived plans and concurrent requests."""
    await billing_api.plan()
    await billing_api.delete("/v1/plans/pro")
    body = {"code": "pro", "name": "Other", **MONTHLY}
    assert (await billing_api.post("/v1/plans", body, status=409))["error"]["code"] == "PLAN_CODE_TAKEN"
    await other_account.plan()
    racing = [billing_api.client.post("/v1/plans", json=body | {"code": "team"}) for _ in range(6)]
    assert sorted(reply.status_code for reply in await asyncio.gather(*racing)) == [201] + [409] * 5


async def test_a_new_version_leaves_the_old_one_unchanged(billing_api: BillingApi) -> None:
    """The plan shows the newest; every version can be read."""
    first = (await billing_api.plan())["newest_version"]
    made = (await billing_api.post("/v1/plans/pro/versions", MONTHLY | {"trial_days": 7}))["plan_version"]
    assert (made["version"], made["trial_days"], made["fixed_fees"]) == (2, 7, [])
    assert (await billing_api.get("/v1/plans/pro"))["plan"]["newest_version"] == made
    assert (await billing_api.get("/v1/plans/pro/versions/1"))["plan_version"] == first
    pages = [await billing_api.get("/v1/plans/pro/versions", limit=1)]
    pages.append(await billing_api.get("/v1/plans/pro/versions", limit=1, cursor=pages[0]["pagination"]["next_cursor"]))
    assert [page["plan_versions"] for page in pages] == [[made], [first]]
    assert pages[1]["pagination"] == {"has_more": False, "next_cursor": None}


async def test_a_draft_can_be_replaced_until_it_is_published(billing_api: BillingApi) -> None:
    """A published version refuses both; a plan has one draft at most."""
    plan = await billing_api.plan(draft=True)
    assert (plan["newest_version"], plan["draft_version"]["published_at"]) == (None, None)
    error = (await billing_api.post("/v1/plans/pro/versions", MONTHLY, status=409))["error"]
    assert (error["code"], "PUT /v1/plans/pro/versions/1" in error["message"]) == ("DRAFT_EXISTS", True)
    changed = (await billing_api.put("/v1/plans/pro/versions/1", MONTHLY | {"currency": "EUR"}))["plan_version"]
    assert (changed["version"], changed["currency"], changed["fixed_fees"]) == (1, "EUR", [])
    published = (await billing_api.post("/v1/plans/pro/versions/1/publish", status=200))["plan_version"]
    assert published["published_at"] is not None
    for refused in (
        await billing_api.put("/v1/plans/pro/versions/1", MONTHLY, status=409),
        await billing_api.post("/v1/plans/pro/versions/1/publish", status=409),
    ):
        assert refused["error"]["code"] == "VERSION_PUBLISHED"
    shown = (await billing_api.get("/v1/plans/pro"))["plan"]
    assert (shown["newest_version"], shown["draft_version"]) == (published, None)
    await billing_api.post("/v1/plans/pro/versions", MONTHLY | {"draft": True})
    shown = (await billing_api.get("/v1/plans/pro"))["plan"]
    assert (shown["newest_version"], shown["draft_version"]["version"]) == (published, 2)


@on_every_ledger
async def test_concurrent_versions_have_a_number_each(billing_api: BillingApi) -> None:
    """Without gap."""
    await billing_api.plan()
    await asyncio.gather(*(billing_api.post("/v1/plans/pro/versions", MONTHLY | {"trial_days": n}) for n in range(5)))
    versions = (await billing_api.get("/v1/plans/pro/versions"))["plan_versions"]
    assert [version["version"] for version in versions] == [6, 5, 4, 3, 2, 1]


async def test_a_draft_that_prices_an_archived_meter_cannot_be_published(billing_api: BillingApi) -> None:
    await billing_api.meter()
    await billing_api.plan(draft=True, usage_prices=[PER_CALL])
    await billing_api.delete("/v1/meters/calls")
    error = (await billing_api.post("/v1/plans/pro/versions/1/publish", status=400))["error"]
    assert "calls" in error["message"]
    assert (await billing_api.get("/v1/plans/pro/versions/1"))["plan_version"]["published_at"] is None


async def test_only_name_and_description_can_be_changed(billing_api: BillingApi) -> None:
    """Versions keep their definition."""
    before = await billing_api.plan(description="old")
    billing_api.clock.now += 1_000_000
    after = (await billing_api.patch("/v1/plans/pro", {"name": "Professional", "description": None}))["plan"]
    assert (after["name"], after["description"]) == ("Professional", None)
    assert after["updated_at"] > before["updated_at"]
    assert after["newest_version"] == before["newest_version"]
    await billing_api.patch("/v1/plans/pro", {"currency": "EUR"}, status=400)


async def test_an_archived_plan_stays_visible(billing_api: BillingApi) -> None:
    """It takes no new version; archiving is idempotent."""
    await billing_api.plan()
    archived = (await billing_api.delete("/v1/plans/pro"))["plan"]
    assert archived["archived_at"] is not None
    billing_api.clock.now += 1_000_000
    assert (await billing_api.delete("/v1/plans/pro"))["plan"] == archived
    error = (await billing_api.post("/v1/plans/pro/versions", MONTHLY, status=409))["error"]
    assert error["code"] == "PLAN_ARCHIVED"
    assert (await billing_api.get("/v1/plans"))["plans"] == [archived]


async def test_another_account_cannot_see_or_change_a_plan(billing_api: BillingApi, other_account: BillingApi) -> None:
    before = await billing_api.plan()
    await other_account.get("/v1/plans/pro", status=404)
    await other_account.get("/v1/plans/pro/versions", status=404)
    await other_account.patch("/v1/plans/pro", {"name": "Mine"}, status=404)
    await other_account.post("/v1/plans/pro/versions", MONTHLY, status=404)
    await billing_api.get("/v1/plans/pro/versions/2", status=404)
    await billing_api.get("/v1/plans/pro/versions/one", status=404)
    assert (await billing_api.get("/v1/plans/pro"))["plan"] == before


async def test_pages_of_plans_are_newest_first(billing_api: BillingApi) -> None:
    """Each plan once, with its versions."""
    for number in range(5):
        billing_api.clock.now += 1_000
        await billing_api.plan(f"plan_{number}")
    first = await billing_api.get("/v1/plans", limit=3)
    rest = await billing_api.get("/v1/plans", limit=3, cursor=first["pagination"]["next_cursor"])
    shown = [*first["plans"], *rest["plans"]]
    assert [plan["code"] for plan in shown] == [f"plan_{number}" for number in (4, 3, 2, 1, 0)]
    assert all(plan["newest_version"]["version"] == 1 for plan in shown)


async def test_changes_of_plans_are_in_the_audit_log(billing_api: BillingApi) -> None:
    """Under the plan's id, for every version."""
    plan = await billing_api.plan(draft=True)
    await billing_api.put("/v1/plans/pro/versions/1", MONTHLY)
    await billing_api.post("/v1/plans/pro/versions/1/publish", status=200)
    await billing_api.delete("/v1/plans/pro")
    entries = (await billing_api.get("/v1/audit", subject=plan["id"]))["entries"]
    assert {entry["action"] for entry in entries} == {
        "plan.create",
        "plan.replace_draft",
        "plan.publish",
        "plan.archive",
    }
