"""Usage queries, listings and their cursors with any parameters: never a fault, and little work on the event loop."""

import base64
import json
import random
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from types import FrameType
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pyarrow as pa
import pytest

from ingest_gateway.api.app_ports import AppPolicy
from schemas.account import Mode
from schemas.tables import NO_LATEST, USAGE
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.event_reader import SqlEventReader
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from stream_processors.backends.store.lookups import Lookups
from tests.conftest import Databases
from tests.ingest_gateway.conftest import TOKENS, InMemoryApp

pytestmark = pytest.mark.anyio

PARTITIONS = 2
ROWS = 12_000
FIRST_MINUTE = 1_767_225_600

MOMENTS = [
    "0001-01-01T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00-23:59",
    "2025-12-31T23:00:00Z",
    "2026-01-01T00:00:00Z",
    "2026-06-01T00:00:00+05:45",
    "2106-02-07T06:28:00Z",
    "2199-12-31T23:59:00Z",
    "9999-12-31T23:59:00Z",
    "2026-01-01T00:00:30Z",
    "soon",
    "",
]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Europe",
    "posix/UTC",
    "right/UTC",
    "Etc/GMT+12",
    "tzdata",
    "leapseconds",
    "/etc/localtime",
    "-",
    "A/" * 30,
    "x" * 65,
    "../UTC",
    "",
]
WINDOWS = ["minute", "hour", "day", "month", "none", "year", ""]
NUMBERS = ["1", "2", "1000", "10000", "10001", "0", "-1", "1e3", "9" * 30, "٣", "1.0", ""]
GROUPS = ["model", "region", "model,model", "", "model,", "m\\,odel", "'; DROP TABLE usage", "{model:String}"]
CUSTOMERS = ["customer_00001", "c'1", "\\", "a,b", "x" * 3000, "{account:String}", "%", "\u00fc"]
KEYS: list[list[Any]] = [
    ["customer_00001", 1_767_225_600, '["a"]'],
    ["", -(2**63), ""],
    ["\uffff", 2**63 - 1, "]"],
    ["c\u0000", 0, "[]"],
    ["c", 2**63, "[]"],
    ["1", "customer_00001", '["a"]', 0],
    ["1e999", "c", "[]", 0],
    ["1e25", "c", "[]", 0],
    ["-1.5e-3", "c", "[]", -5],
    ["nan", "c", "[]", 0],
    ["inf", "c", "[]", 0],
    [1_767_225_600_000_000, 0, 5, 5, 5],
    [2**63 - 1, 0, 0, 0, 0],
    [-(2**63), 0, 0, 0, 0],
    [0, 65_536, 0, 0, 0],
    [0, 0, -1, 0, 0],
    [0, 0, 2**63, 0, 0],
    [0, 0, 0, 0, 2**32],
    [0, 0, 0, 0, 0, "rej", "tokens"],
    [0, 0, 0, 0, 0, "", "\u0000"],
    [],
    [[]],
    [None],
    [1.5, "c"],
    [True, 0, 0, 0, 0],
]


def cursors() -> Iterator[str]:
    for key in KEYS:
        yield base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
    yield from ("", "A", "!!!!", "e30", "W10=", "\u00e9", "A" * 5000)


def usage_rows(account: str) -> pa.Table:
    """One row for each of many customers."""
    values = {
        "account": account,
        "meter": "tokens",
        "minute": FIRST_MINUTE,
        "grp": '["a"]',
        "sum": Decimal(1),
        "count": 1,
        "min": None,
        "max": None,
        "latest": NO_LATEST,
        "uniques": [],
        "month": 202601,
    }
    columns = {name: pa.repeat(pa.scalar(value, USAGE.field(name).type), ROWS) for name, value in values.items()}
    columns["customer_id"] = pa.array([f"customer_{number:05}" for number in range(ROWS)])
    columns["minute"] = pa.array(FIRST_MINUTE + 60 * np.arange(ROWS), USAGE.field("minute").type)
    return pa.table([columns[name] for name in USAGE.names], schema=USAGE)


class QueriedApp:
    """The app over the real engine, and a client with a key."""

    def __init__(self, client: httpx.AsyncClient, auth: dict[str, str]) -> None:
        self.client = client
        self._auth = auth
        self.statuses: dict[int, int] = {}

    async def get(self, path: str, params: dict[str, str], accept: str = "application/json") -> httpx.Response:
        query = "&".join(f"{quote(name, safe='[]')}={quote(value, safe='')}" for name, value in params.items())
        reply = await self.client.get(f"{path}?{query}", headers=self._auth | {"accept": accept})
        self.statuses[reply.status_code] = self.statuses.get(reply.status_code, 0) + 1
        assert reply.status_code in (200, 400), f"{path}?{query}: {reply.status_code} {reply.text[:500]}"
        if reply.status_code == 400:
            assert reply.json()["error"]["message"], query
        return reply


@pytest.fixture
async def queried_app(in_memory_app: InMemoryApp, databases: Databases) -> AsyncIterator[QueriedApp]:
    with ThreadPoolExecutor(2) as executor:
        store = AsyncSqlClient(databases(), executor)
        seen = Lookups(SqlEngine(store))
        ports = {
            "usage": SqlUsageReader(store, PARTITIONS),
            "events": SqlEventReader(store, ReplayLookup(seen, PARTITIONS), in_memory_app.clock),
        }
        auth = await in_memory_app.key()
        await store.insert("usage", usage_rows(in_memory_app.ours[Mode.LIVE]), "rows")
        async with in_memory_app.serve(ports=ports, policy=AppPolicy(partitions=2, api_per_minute=0)) as client:
            assert (await client.post("/v1/meters", headers=auth, json=TOKENS)).status_code == 201
            yield QueriedApp(client, auth)


def usage_parameters(random_source: random.Random) -> dict[str, str]:
    """Mostly valid, with one or two odd values."""
    params = {"meter": "tokens", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    pools: dict[str, list[str]] = {
        "from": MOMENTS,
        "to": MOMENTS,
        "window": WINDOWS,
        "timezone": ZONES,
        "limit": NUMBERS,
        "top": NUMBERS,
        "group_by": GROUPS,
        "filter[model]": ["a", "", "'", "x" * 300],
        "filter[]": ["a"],
        "filter": ["a"],
        "customer_id": CUSTOMERS,
        "cursor": list(cursors()),
    }
    for name in random_source.sample(sorted(pools), random_source.choice([1, 1, 1, 2, 3])):
        params[name] = random_source.choice(pools[name])
    return params


async def fuzz(app: QueriedApp, seeds: range) -> None:
    for seed in seeds:
        random_source = random.Random(seed)
        accept = random_source.choice(["application/json", "application/json", "text/csv", "application/*"])
        await app.get("/v1/usage", usage_parameters(random_source), accept)
        for path in ("/v1/events", "/v1/rejects"):
            pools = {"cursor": list(cursors()), "limit": NUMBERS}
            if path == "/v1/events":
                pools |= {"from": MOMENTS, "to": MOMENTS, "event_name": CUSTOMERS, "idempotency_key": CUSTOMERS}
            names = random_source.sample(sorted(pools), random_source.choice([1, 1, 2]))
            await app.get(path, {name: random_source.choice(pools[name]) for name in names})
    print(f"{len(seeds)} seeds: {app.statuses}")
    assert min(app.statuses.get(200, 0), app.statuses.get(400, 0)) > len(seeds) // 4


async def test_no_query_is_answered_with_a_fault(queried_app: QueriedApp) -> None:
    for cursor in cursors():
        for path, params in (
            ("/v1/usage", {"meter": "tokens", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}),
            ("/v1/events", {}),
            ("/v1/rejects", {}),
        ):
            await queried_app.get(path, params | {"cursor": cursor})
            if path == "/v1/usage":
                await queried_app.get(path, params | {"cursor": cursor, "top": "5"})
    await fuzz(queried_app, range(80))


@pytest.mark.long
async def test_no_random_query_is_answered_with_a_fault(queried_app: QueriedApp) -> None:
    await fuzz(queried_app, range(1_000, 2_000))


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Counts the calls of functions in this thread, which is the event loop's: other threads are not counted."""
    calls = [0]

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        if event in ("call", "c_call"):
            calls[0] += 1

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


MOST_CALLS = 8_000
"""Of the event loop's thread for one request, the client of this test included; each row or window costs several."""


@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/vnd.apache.parquet"])
@pytest.mark.parametrize(
    ("window", "zone", "start", "end"),
    [
        ("hour", "Europe/Berlin", "2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z"),
        ("hour", "UTC", "2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z"),
        ("day", "Australia/Lord_Howe", "1990-01-01T00:00:00Z", "2040-01-01T00:00:00Z"),
        ("minute", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("none", "UTC", "1970-01-01T00:00:00Z", "2199-12-31T00:00:00Z"),
    ],
)
async def test_the_largest_answers_cost_the_event_loop_no_more_than_small_ones(
    queried_app: QueriedApp, window: str, zone: str, start: str, end: str, accept: str
) -> None:
    """Windows, rows and the text of the answer are made elsewhere: 10,000 rows of thousands of windows."""
    params = {"meter": "tokens", "from": start, "to": end, "window": window, "timezone": zone, "limit": "10000"}
    await queried_app.get("/v1/usage", params, accept)
    with counted_calls() as calls:
        reply = await queried_app.get("/v1/usage", params, accept)
    assert reply.status_code == 200
    assert len(reply.content) > 10_000
    assert calls[0] < MOST_CALLS


@pytest.mark.parametrize(
    ("window", "bound"), [("minute", "600000"), ("hour", "100000"), ("day", "20000"), ("month", "")]
)
async def test_a_range_of_too_many_windows_is_refused_with_the_bound(
    queried_app: QueriedApp, window: str, bound: str
) -> None:
    """Before anything is calculated; the refusal says how to ask less. The months of all years there are fit."""
    params = {"meter": "tokens", "from": "1970-01-01T00:00:00Z", "to": "2199-12-31T00:00:00Z", "window": window}
    for zone in ("UTC", "Europe/Berlin"):
        with counted_calls() as calls:
            reply = await queried_app.get("/v1/usage", params | {"timezone": zone})
        assert reply.status_code == (400 if bound else 200)
        assert calls[0] < MOST_CALLS
        if bound:
            error = reply.json()["error"]
            assert (error["details"], bound in error["message"]) == ({"field": "window"}, True)
            assert "days or less, or for a longer window" in error["message"]
