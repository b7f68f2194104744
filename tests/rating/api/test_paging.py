"""Pages of every listing: each record that existed at the start is listed once."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from schemas.timestamps import MILLISECOND
from tests.rating.api.billing_api import BillingApi
from tests.rating.api.invoice_steps import create_draft
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio

Make = Callable[[BillingApi, int], Awaitable[Any]]

LISTINGS: dict[str, tuple[str, Make]] = {
    "/v1/customers": ("customers", lambda billing_api, _: billing_api.customer()),
    "/v1/plans": ("plans", lambda billing_api, number: billing_api.plan(f"plan_{number}")),
    "/v1/subscriptions": ("subscriptions", lambda billing_api, _: billing_api.subscription()),
    "/v1/invoices": ("invoices", lambda billing_api, _: create_draft(billing_api)),
    "/v1/audit": ("entries", lambda billing_api, _: billing_api.customer()),
}


@on_every_ledger
@pytest.mark.parametrize("path", LISTINGS)
async def test_pages_are_stable_while_records_are_added(billing_api: BillingApi, path: str) -> None:
    """Newest first, without gap or repeat; the last page says that it is the last."""
    resource, make = LISTINGS[path]
    await billing_api.plan()
    for number in range(5):
        billing_api.clock.now += MILLISECOND
        await make(billing_api, number)
    before = [one["id"] for one in (await billing_api.get(path, limit=100))[resource]]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await billing_api.get(path, limit=2, cursor=cursor)
        seen += [one["id"] for one in page[resource]]
        cursor = page["pagination"]["next_cursor"]
        assert page["pagination"]["has_more"] == (cursor is not None)
        billing_api.clock.now += MILLISECOND
        await make(billing_api, 100 + len(seen))
    assert seen == before
    assert len(seen) >= 5
