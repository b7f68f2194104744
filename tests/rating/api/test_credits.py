"""Credit over HTTP: granted in money or in units, and summed exactly."""

from typing import Any

import pytest

from schemas.timestamps import DAY
from tests.rating.api.conftest import Office
from tests.rating.ledger.fixtures import judged_before

pytestmark = pytest.mark.anyio


async def _subscribed(office: Office) -> tuple[str, str]:
    """The paths of a subscription's grants and of its customer's balances."""
    await office.plan()
    made = await office.subscription()
    return f"/v1/subscriptions/{made['id']}/credit-grants", f"/v1/customers/{made['customer_id']}/balances"


async def test_grants_are_summed_by_denomination(office: Office) -> None:
    """To the last digit, whether given as numbers or as strings; currencies come first."""
    grants, balances = await _subscribed(office)
    assert (await office.get(balances))["balances"] == []
    made = await office.post(grants, {"name": "Welcome", "amount": "0.1", "currency_code": "usd"})
    grant = made["credit_grant"]
    assert (grant["amount"], grant["currency_code"], grant["pricing_unit_code"]) == ("0.1", "usd", None)
    assert (grant["name"], grant["expires_at"], grant["created_at"]) == ("Welcome", None, "2027-01-15T08:00:00Z")
    body = b'{"name": "More", "amount": 100000000000000.000000000002, "currency_code": "USD"}'
    assert (await office.client.post(grants, content=body)).status_code == 201
    await office.post(grants, {"name": "GPU", "amount": 5, "pricing_unit_code": "gpu_sec"})
    assert (await office.get(balances))["balances"] == [
        {"currency_code": "usd", "pricing_unit_code": None, "balance": "100000000000000.100000000002"},
        {"currency_code": None, "pricing_unit_code": "gpu_sec", "balance": "5"},
    ]


async def test_what_has_expired_is_no_balance(office: Office) -> None:
    """From that very moment."""
    grants, balances = await _subscribed(office)
    body = {"name": "Week", "amount": 7, "pricing_unit_code": "token", "expires_at": "2027-01-16T08:00:00Z"}
    assert (await office.post(grants, body))["credit_grant"]["expires_at"] == "2027-01-16T08:00:00Z"
    office.clock.now += DAY - 1
    assert len((await office.get(balances))["balances"]) == 1
    office.clock.now += 1
    assert (await office.get(balances))["balances"] == []
    await office.post(grants, body, status=400)


@judged_before
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
async def test_a_wrong_grant_is_refused_by_field(office: Office, changed: dict[str, Any], field: str) -> None:
    """And nothing is granted."""
    grants, balances = await _subscribed(office)
    body = {"name": "Welcome", "amount": "10", "currency_code": "usd"} | changed
    error = (await office.post(grants, body, status=400))["error"]
    assert error["details"][0]["field"] == field
    assert (await office.get(balances))["balances"] == []


async def test_a_repeated_grant_is_one_grant(office: Office) -> None:
    """Under the same key."""
    grants, balances = await _subscribed(office)
    body = {"name": "Welcome", "amount": "10.50", "currency_code": "usd"}
    first = await office.post(grants, body, once="k1")
    assert (await office.post(grants, body, once="k1"))["credit_grant"] == first["credit_grant"]
    assert (await office.get(balances))["balances"][0]["balance"] == "10.5"


async def test_another_account_s_credit_is_not_there(office: Office, stranger: Office) -> None:
    """Not to be given nor seen."""
    grants, balances = await _subscribed(office)
    await stranger.post(grants, {"name": "Mine", "amount": 1, "currency_code": "usd"}, status=404)
    await stranger.get(balances, status=404)
    await office.get("/v1/customers/cnobody/balances", status=404)
    assert (await office.get(balances))["balances"] == []
