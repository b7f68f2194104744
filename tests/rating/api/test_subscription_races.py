"""Concurrent requests on subscriptions: each is applied whole or refused, as in some sequential order."""

import asyncio
from itertools import product
from typing import Any

import pytest

from tests.rating.api.billing_api import BillingApi
from tests.rating.api.ledger_runs import LedgerRuns
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio

CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("cancel", {"cancel_mode": "now"}),
    ("cancel", {"cancel_mode": "end_of_period"}),
    ("change-plan", {"target_plan_code": "team", "change_mode": "now"}),
    ("change-plan", {"target_plan_code": "team", "change_mode": "end_of_period"}),
    ("change-plan", {"target_plan_code": "pro", "change_mode": "now"}),
]


@on_every_ledger
async def test_concurrent_requests_leave_one_live_subscription_at_most(
    billing_api: BillingApi, runs: LedgerRuns
) -> None:
    """Of each customer to each plan; no request fails with a server error."""
    await billing_api.plan()
    await billing_api.plan("team")
    made = [await billing_api.subscription() for _ in range(4)]
    links = []
    for one in made:
        body = {"customer_id": one["customer_id"], "plan_code": "team"}
        links.append((await billing_api.post("/v1/subscription-signup-links", body))["subscription_signup_link"])
    changes = [
        billing_api.client.post(f"/v1/subscriptions/{one['id']}/{name}", json=body)
        for (name, body), one in product(CHANGES, made)
    ]
    activations = [
        billing_api.client.patch(f"/v1/subscriptions/{one['id']}", json={"status": "active"}) for one in made
    ]
    new = [
        billing_api.client.post("/v1/subscriptions", json={"customer_id": one["customer_id"], "plan_code": "pro"})
        for one in made
    ]
    used = [billing_api.client.post(f"/subscribe/{link['token']}", data={"pressed": "yes"}) for link in links]
    taken = asyncio.gather(*(asyncio.to_thread(lambda: runs.take(runs.look())) for _ in range(3)))
    replies = await asyncio.gather(*changes, *activations, *new, *used)
    await taken
    assert {reply.status_code for reply in replies} <= {200, 201, 409, 410}
    for one in made:
        found = (await billing_api.get("/v1/subscriptions", customer_id=one["customer_id"]))["subscriptions"]
        live = [each for each in found if each["status"] != "canceled"]
        assert len({each["plan_code"] for each in live}) == len(live)
        status = {each["id"]: each["status"] for each in found}
        for follower in (each for each in live if each["previous_subscription_id"]):
            is_over = status[follower["previous_subscription_id"]] == "canceled"
            assert (follower["status"] == "active") == is_over
