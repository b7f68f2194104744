"""A subscription that is billed every day, and the invoice runs that bill it."""

import asyncio
from typing import Any

from schemas.timestamps import to_iso
from tests.rating.api.billing_api import BillingApi

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


async def subscribe_daily(billing_api: BillingApi) -> dict[str, Any]:
    """Creates a subscription to a daily plan that starts now."""
    await billing_api.post("/v1/meters", METER)
    await billing_api.post("/v1/plans", PLAN)
    customer = await billing_api.customer()
    new = {
        "customer_id": customer["id"],
        "plan_code": "daily",
        "start_date": to_iso(billing_api.clock.now),
        "initial_status": "active",
    }
    made: dict[str, Any] = (await billing_api.post("/v1/subscriptions", new))["subscription"]
    return made


async def run_to_end(billing_api: BillingApi, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Starts an invoice run and waits for its end."""
    begun = (await billing_api.post("/v1/invoice-runs", body or {}, status=202))["invoice_run"]
    async with asyncio.timeout(30):
        while True:
            response: dict[str, Any] = (await billing_api.get(f"/v1/invoice-runs/{begun['id']}"))["invoice_run"]
            if response["state"] != "running":
                return response
            await asyncio.sleep(0.01)
