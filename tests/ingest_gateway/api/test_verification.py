"""Verification over HTTP: its account's usage, part by part, for administrators."""

from decimal import Decimal

import pytest

from schemas.account import Mode, Scope
from tests.ingest_gateway.conftest import InMemoryApp

pytestmark = pytest.mark.anyio

PART = "/v1/usage/verification"
RANGE = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-03T00:00:00Z"}


async def test_a_part_names_every_difference_and_where_to_continue(in_memory_app: InMemoryApp) -> None:
    """The cursor and the bound reach the store."""
    account = in_memory_app.ours[Mode.LIVE]
    in_memory_app.reader.values[account] = {"c1": Decimal("2.50")}
    auth = await in_memory_app.key()
    reply = await in_memory_app.client.get(PART, headers=auth, params={"meter": "tokens", "events": 7, **RANGE})
    assert reply.status_code == 200, reply.text
    part = reply.json()["verification"]
    assert part == {
        "events": 3,
        "difference_count": 1,
        "differences": [
            {
                "account": account,
                "meter": "tokens",
                "customer_id": "c1",
                "window_start": "2026-11-01T00:00:00Z",
                "window_end": "2026-11-01T00:01:00Z",
                "group": {},
                "counted": "2.5",
                "recounted": None,
                "detail": "",
            }
        ],
        "skipped": None,
        "watermark": {"0": 9, "1": 7},
        "next_cursor": "more",
    }
    rest = {"meter": "tokens", "cursor": "more", **RANGE}
    assert (await in_memory_app.client.get(PART, headers=auth, params=rest)).json()["verification"][
        "next_cursor"
    ] is None
    assert [(code, cursor, limit) for _, code, _, _, cursor, limit in in_memory_app.reader.verified] == [
        ("tokens", None, 7),
        ("tokens", "more", 100_000),
    ]


async def test_the_days_are_listed(in_memory_app: InMemoryApp) -> None:
    """Each with its number of events."""
    account = in_memory_app.ours[Mode.LIVE]
    in_memory_app.reader.values[account] = {}
    reply = await in_memory_app.client.get(f"{PART}/days", headers=await in_memory_app.key(), params=RANGE)
    assert reply.json()["days"] == [
        {"meter": f"meter of {account}", "start": "2026-11-01T00:00:00Z", "events": 3, "rows": 2}
    ]


@pytest.mark.parametrize("path", [PART, f"{PART}/days"])
async def test_it_takes_an_administrator_and_a_range_of_whole_minutes(in_memory_app: InMemoryApp, path: str) -> None:
    """It reads every event of the range, which costs more than a query."""
    given = {"meter": "tokens"} if path == PART else {}
    reader = await in_memory_app.key(None, Scope.READ)
    assert (await in_memory_app.client.get(path, headers=reader, params=given | RANGE)).status_code == 403
    auth = await in_memory_app.key()
    for wrong in (RANGE | {"to": "2026-11-01T00:00:00Z"}, RANGE | {"from": "2026-11-01T00:00:01Z"}):
        assert (await in_memory_app.client.get(path, headers=auth, params=given | wrong)).status_code == 400
