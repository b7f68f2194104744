"""A request repeated under its idempotency key is applied once and gets the same answer."""

import asyncio

import pytest

from rating.ledger.idempotency_keys import KEY_LIFETIME
from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger, on_sqlite

pytestmark = pytest.mark.anyio


@on_every_ledger
async def test_a_repeated_request_gets_the_stored_answer(billing_api: BillingApi) -> None:
    """Even after the record has changed."""
    first = await billing_api.post("/v1/customers", {"name": "Acme"}, idempotency_key="k1")
    await billing_api.patch(f"/v1/customers/{first['customer']['id']}", {"name": "Other"})
    again = await billing_api.client.post("/v1/customers", json={"name": "Acme"}, headers={"idempotency-key": "k1"})
    assert again.status_code == 201
    assert again.json()["customer"] == first["customer"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len((await billing_api.get("/v1/customers"))["customers"]) == 1


async def test_a_different_request_under_the_same_key_is_refused(
    billing_api: BillingApi, other_account: BillingApi
) -> None:
    """Keys of another account are separate."""
    await billing_api.post("/v1/customers", {"name": "Acme"}, idempotency_key="k1")
    error = (await billing_api.post("/v1/customers", {"name": "Other"}, idempotency_key="k1", status=409))["error"]
    assert error["code"] == "IDEMPOTENCY_KEY_REUSED"
    await other_account.post("/v1/customers", {"name": "Other"}, idempotency_key="k1")


async def test_the_order_of_fields_does_not_make_a_different_request(billing_api: BillingApi) -> None:
    """Nor does whitespace: the values count."""
    first = await billing_api.post("/v1/customers", {"name": "A", "email": "a@b.c"}, idempotency_key="k1")
    again = await billing_api.post("/v1/customers", {"email": "a@b.c", "name": "A"}, idempotency_key="k1")
    assert again["customer"] == first["customer"]


@on_every_ledger
async def test_concurrent_requests_are_applied_once(billing_api: BillingApi) -> None:
    """The later ones wait for the first."""
    racing = [billing_api.post("/v1/customers", {"name": "Acme"}, idempotency_key="k1") for _ in range(10)]
    ids = {envelope["customer"]["id"] for envelope in await asyncio.gather(*racing)}
    assert len(ids) == 1
    assert len((await billing_api.get("/v1/customers"))["customers"]) == 1


async def test_a_refused_request_leaves_its_key_free(billing_api: BillingApi) -> None:
    """Nothing was applied, so the next request under the key is the first."""
    taken = await billing_api.customer(external_id="one")
    await billing_api.post("/v1/customers", {"external_id": "one"}, idempotency_key="k1", status=409)
    await billing_api.delete(f"/v1/customers/{taken['id']}")
    made = (await billing_api.post("/v1/customers", {"external_id": "one"}, idempotency_key="k1"))["customer"]
    assert (await billing_api.get("/v1/customers"))["customers"] == [made]


async def test_a_key_is_kept_for_a_day(billing_api: BillingApi) -> None:
    """After that the key names a new request."""
    await billing_api.post("/v1/customers", {"name": "Acme"}, idempotency_key="k1")
    billing_api.clock.now += KEY_LIFETIME - 1
    await billing_api.post("/v1/customers", {"name": "Acme"}, idempotency_key="k1")
    billing_api.clock.now += 1
    await billing_api.post("/v1/customers", {"name": "Other"}, idempotency_key="k1")
    assert len((await billing_api.get("/v1/customers"))["customers"]) == 2


@on_sqlite
@pytest.mark.parametrize("key", ["", "k" * 256, "naïve"])
async def test_an_invalid_key_is_refused(billing_api: BillingApi, key: str) -> None:
    """With the expected form."""
    headers = {b"idempotency-key": key.encode()}
    reply = await billing_api.client.post("/v1/customers", json={}, headers=headers)
    assert reply.status_code == 400
    assert "Idempotency-Key: expected" in reply.json()["error"]["message"]
