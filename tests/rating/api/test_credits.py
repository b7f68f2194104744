"""Credit grants over the API, in money or in pricing units, summed exactly."""

from typing import Any

import pytest

from schemas.timestamps import DAY
from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger, on_sqlite

pytestmark = pytest.mark.anyio


async def _subscribed(billing_api: BillingApi) -> tuple[str, str]:
    """The paths of a subscription's grants and of its customer's balances."""
    await billing_api.plan()
    made = await billing_api.subscription()
    return f"/v1/subscriptions/{made['id']}/credit-grants", f"/v1/customers/{made['customer_id']}/balances"


@on_every_ledger
async def test_grants_are_summed_by_denomination(billing_api: BillingApi) -> None:
    """To the last digit, whether given as numbers or as strings; currencies are listed first."""
    grants, balances = await _subscribed(billing_api)
    assert (await billing_api.get(balances))["balances"] == []
    made = await billing_api.post(grants, {"name": "Welcome", "amount": "0.1", "currency_code": "usd"})
    grant = made["credit_grant"]
    assert (grant["amount"], grant["currency_code"], grant["pricing_unit_code"]) == ("0.1", "usd", None)
    assert (grant["name"], grant["expires_at"], grant["created_at"]) == ("Welcome", None, "2027-01-15T08:00:00Z")
    body = b'{"name": "More", "amount": 100000000000000.000000000002, "currency_code": "USD"}'
    assert (await billing_api.client.post(grants, content=body)).status_code == 201
    await billing_api.post(grants, {"name": "GPU", "amount": 5, "pricing_unit_code": "gpu_sec"})
    assert (await billing_api.get(balances))["balances"] == [
        {"currency_code": "usd", "pricing_unit_code": None, "balance": "100000000000000.100000000002"},
        {"currency_code": None, "pricing_unit_code": "gpu_sec", "balance": "5"},
    ]


async def test_an_expired_grant_is_not_part_of_the_balance(billing_api: BillingApi) -> None:
    """From the moment that it expires."""
    grants, balances = await _subscribed(billing_api)
    body = {"name": "Week", "amount": 7, "pricing_unit_code": "token", "expires_at": "2027-01-16T08:00:00Z"}
    assert (await billing_api.post(grants, body))["credit_grant"]["expires_at"] == "2027-01-16T08:00:00Z"
    billing_api.clock.now += DAY - 1
    assert len((await billing_api.get(balances))["balances"]) == 1
    billing_api.clock.now += 1
    assert (await billing_api.get(balances))["balances"] == []
    await billing_api.post(grants, body, status=400)


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"amount": 0}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "a lot"}, "amount"),
        ({"amount": "1e15"}, "amount"),
        ({"amount": "0.0000000000001"}, "amount"),
        ({"currency_code": None}, "currency_code"),
        ({"pricing_unit_code": "token"}, "currency_code"),
        ({"currency_code": "xxx"}, "currency_code"),
        ({"currency_code": "dollar"}, "currency_code"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"pricing_unit_id": "token"}, "pricing_unit_id"),
    ],
)
async def test_an_invalid_grant_is_refused_by_field(
    billing_api: BillingApi, changed: dict[str, Any], field: str
) -> None:
    """And nothing is granted."""
    grants, balances = await _subscribed(billing_api)
    body = {"name": "Welcome", "amount": "10", "currency_code": "usd"} | changed
    error = (await billing_api.post(grants, body, status=400))["error"]
    assert error["details"][0]["field"] == field
    assert (await billing_api.get(balances))["balances"] == []


async def test_a_repeated_grant_is_one_grant(billing_api: BillingApi) -> None:
    """Under the same idempotency key."""
    grants, balances = await _subscribed(billing_api)
    body = {"name": "Welcome", "amount": "10.50", "currency_code": "usd"}
    first = await billing_api.post(grants, body, idempotency_key="k1")
    assert (await billing_api.post(grants, body, idempotency_key="k1"))["credit_grant"] == first["credit_grant"]
    assert (await billing_api.get(balances))["balances"][0]["balance"] == "10.5"


async def test_another_account_can_neither_grant_nor_see_credit(
    billing_api: BillingApi, other_account: BillingApi
) -> None:
    grants, balances = await _subscribed(billing_api)
    await other_account.post(grants, {"name": "Mine", "amount": 1, "currency_code": "usd"}, status=404)
    await other_account.get(balances, status=404)
    await billing_api.get("/v1/customers/cnobody/balances", status=404)
    assert (await billing_api.get(balances))["balances"] == []
