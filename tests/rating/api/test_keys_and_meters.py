"""API keys and meters over real ledgers: repeated requests, and their changes in the audit log."""

from typing import Any

import pytest

from schemas.account import Mode
from schemas.timestamps import DAY, to_iso
from tests.ingest_gateway.conftest import TOKENS
from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio

BORDER = b'{"code":"n","name":"N","event_name":"e","aggregation":"count","filters":[%s]}' % (
    b'{"property":"$.x","op":"gt","value":0.10000000000000000001}'
)


@on_every_ledger
async def test_a_repeated_meter_gets_the_stored_answer(billing_api: BillingApi) -> None:
    """Digit by digit, and one meter is created."""
    headers = {"idempotency-key": "k1"}
    first, again = [await billing_api.client.post("/v1/meters", content=BORDER, headers=headers) for _ in range(2)]
    assert b'"value":0.10000000000000000001' in again.content
    assert (again.status_code, again.json()["meter"]) == (201, first.json()["meter"])
    assert again.headers["idempotent-replayed"] == "true"
    assert len((await billing_api.get("/v1/meters"))["meters"]) == 1
    await billing_api.post("/v1/meters", TOKENS, idempotency_key="k1", status=409)


async def test_a_repeated_revocation_gets_the_stored_answer(billing_api: BillingApi) -> None:
    """The same idempotency key does not revoke another API key."""
    ids = [await _key(billing_api), await _key(billing_api)]
    for _ in range(2):
        await billing_api.post(f"/v1/keys/{ids[0]}/revoke", idempotency_key="k1", status=200)
    await billing_api.post(f"/v1/keys/{ids[1]}/revoke", idempotency_key="k1", status=409)
    revoked = {key["id"] for key in (await billing_api.get("/v1/keys"))["api_keys"] if key["revoked_at"]}
    assert revoked == {ids[0]}


async def test_a_key_shows_its_last_use(billing_api: BillingApi) -> None:
    """A key that was never used shows null."""
    made = (await billing_api.post("/v1/keys", {"name": "ci", "scopes": ["read"]}))["api_key"]

    async def last_used() -> Any:
        return {key["id"]: key["last_used_at"] for key in (await billing_api.get("/v1/keys"))["api_keys"]}

    used = to_iso(billing_api.clock.now)
    assert await last_used() == {billing_api.key.id: used, made["id"]: None}
    billing_api.clock.now += DAY
    await billing_api.client.get("/v1/customers", headers={"authorization": f"Bearer {made['token']}"})
    assert await last_used() == {billing_api.key.id: used, made["id"]: to_iso(billing_api.clock.now)}


@on_every_ledger
async def test_changes_of_meters_are_in_the_log(billing_api: BillingApi) -> None:
    """With both states; a request that changes nothing leaves no entry."""
    await billing_api.client.post("/v1/meters", content=BORDER)
    for _ in range(2):
        billing_api.clock.now += 1_000
        await billing_api.patch("/v1/meters/n", {"name": "Other"})
        billing_api.clock.now += 1_000
        await billing_api.delete("/v1/meters/n")
    entries = await _entries(billing_api, "n")
    assert [entry["action"] for entry in entries] == ["meter.archive", "meter.update", "meter.create"]
    assert (entries[1]["before"]["name"], entries[1]["after"]["name"]) == ("N", "Other")
    assert (entries[0]["before"]["archived_version"], entries[0]["after"]["archived_version"]) == (None, 2)
    assert b"0.10000000000000000001" in (await billing_api.client.get("/v1/audit", params={"subject": "n"})).content


async def test_a_meter_that_a_plan_prices_cannot_be_archived(billing_api: BillingApi) -> None:
    """While a version in force prices it: the newest one, or one with a subscription."""
    await billing_api.meter("calls")
    price = {"code": "calls", "name": "Calls", "meter": "calls", "price": {"model": "per_unit", "unit_price": "1"}}
    await billing_api.plan(usage_prices=[price])
    refused = (await billing_api.delete("/v1/meters/calls", status=409))["error"]
    assert (refused["code"], "version 1 of plan 'pro'" in refused["message"]) == ("METER_PRICED", True)
    subscription = await billing_api.subscription(initial_status="pending")
    without = {"currency": "USD", "interval": "month"}
    await billing_api.post("/v1/plans/pro/versions", without)
    await billing_api.delete("/v1/meters/calls", status=409)
    await billing_api.post(f"/v1/subscriptions/{subscription['id']}/cancel", {"cancel_mode": "now"}, status=200)
    await billing_api.post("/v1/plans/pro/versions", without | {"usage_prices": [price], "draft": True})
    assert (await billing_api.delete("/v1/meters/calls"))["meter"]["archived"] is True
    await billing_api.post("/v1/plans/pro/versions/3/publish", status=400)


async def test_changes_of_keys_are_in_the_log(billing_api: BillingApi) -> None:
    """With their expiry, and never with the secret."""
    ends = to_iso(billing_api.clock.now + DAY)
    made = (await billing_api.post("/v1/keys", {"name": "k", "scopes": ["read"], "expires_at": ends}))["api_key"]
    for _ in range(2):
        billing_api.clock.now += 1_000
        await billing_api.post(f"/v1/keys/{made['id']}/revoke", status=200)
    entries = await _entries(billing_api, made["id"])
    assert [entry["action"] for entry in entries] == ["key.revoke", "key.create"]
    assert to_iso(entries[1]["after"]["expires_at"]) == ends
    assert made["token"] not in str(entries)


async def test_a_test_key_created_with_a_live_key_is_in_the_test_account_s_log(
    billing_api: BillingApi, other_account: BillingApi
) -> None:
    """The log of an account has every change in it."""
    made = (await billing_api.post("/v1/keys", {"name": "t", "scopes": ["read"], "mode": Mode.TEST}))["api_key"]
    assert await _entries(billing_api, made["id"]) == []
    assert [entry["actor"] for entry in await _entries(other_account, made["id"])] == [billing_api.key.id]


@on_every_ledger
async def test_a_long_request_id_fits_the_log(billing_api: BillingApi) -> None:
    """The longest that a client may send."""
    headers = {"x-request-id": "r" * 128}
    assert (await billing_api.client.post("/v1/customers", json={}, headers=headers)).status_code == 201
    assert (await billing_api.get("/v1/audit"))["entries"][0]["request_id"] == "r" * 128


@pytest.mark.parametrize("path", ["/v1/customers/%00", "/v1/meters/a%00", "/v1/keys/%00/revoke"])
async def test_a_path_with_a_nul_is_not_found(billing_api: BillingApi, path: str) -> None:
    """The ledger is not queried for a value that it cannot hold."""
    method = "POST" if path.endswith("revoke") else "GET"
    assert (await billing_api.client.request(method, path)).status_code == 404


async def _key(billing_api: BillingApi) -> str:
    made: str = (await billing_api.post("/v1/keys", {"name": "k", "scopes": ["read"]}))["api_key"]["id"]
    return made


async def _entries(billing_api: BillingApi, subject: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await billing_api.get("/v1/audit", subject=subject))["entries"]
    return entries
