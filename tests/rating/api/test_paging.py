"""Pages of every listing: each thing that was there is listed once, whatever is made meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from schemas.timestamps import MILLISECOND
from tests.rating.api.conftest import Office
from tests.rating.api.test_invoices import drafted

pytestmark = pytest.mark.anyio

Make = Callable[[Office, int], Awaitable[Any]]

LISTINGS: dict[str, tuple[str, Make]] = {
    "/v1/customers": ("customers", lambda office, _: office.customer()),
    "/v1/plans": ("plans", lambda office, number: office.plan(f"plan_{number}")),
    "/v1/subscriptions": ("subscriptions", lambda office, _: office.subscription()),
    "/v1/invoices": ("invoices", lambda office, _: drafted(office)),
    "/v1/audit": ("entries", lambda office, _: office.customer()),
}


@pytest.mark.parametrize("path", LISTINGS)
async def test_pages_are_stable_while_things_are_made(office: Office, path: str) -> None:
    """Newest first, without a gap and without a repeat; the last page says that it is the last."""
    resource, make = LISTINGS[path]
    await office.plan()
    for number in range(5):
        office.clock.now += MILLISECOND
        await make(office, number)
    before = [one["id"] for one in (await office.get(path, limit=100))[resource]]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await office.get(path, limit=2, cursor=cursor)
        seen += [one["id"] for one in page[resource]]
        cursor = page["pagination"]["next_cursor"]
        assert page["pagination"]["has_more"] == (cursor is not None)
        office.clock.now += MILLISECOND
        await make(office, 100 + len(seen))
    assert seen == before
    assert len(seen) >= 5
