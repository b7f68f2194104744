"""No endpoint shows an account's data to another's key, nor live data to a test key; generated from all routes."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest_gateway.api import app
from ingest_gateway.api.app import routes
from ingest_gateway.api.app_ports import AppContext, AppPolicy, AppPorts
from ingest_gateway.http.auth import Authenticator
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.http.route import Route
from schemas.account import Mode, Scope
from schemas.frame import decode
from schemas.ids import AccountId
from schemas.listing import EventQuery, RejectQuery
from schemas.metrics import NullMetrics
from schemas.usage import UsageQuery
from tests.contracts.commands import command_of, key_for
from tests.ingest_gateway.conftest import ALL_SCOPES, TOKENS, InMemoryApp
from tests.ingest_gateway.fakes import make_reject, stored_event

pytestmark = pytest.mark.anyio

SECRET = "hush"
EVENT = {
    "event_name": "api.request",
    "idempotency_key": "k1",
    "customer_id": f"{SECRET}-customer",
    "timestamp": "2027-01-15T08:00:00Z",
}
RANGE = "from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z"

REQUESTS: dict[tuple[str, str], list[tuple[str, Any]]] = {
    ("POST", "/v1/events/ingest"): [("", EVENT), ("?strict=true", {"events": [EVENT]})],
    ("POST", "/api/v1/events"): [("", EVENT)],
    ("GET", "/v1/usage"): [
        (f"?meter={SECRET}&{RANGE}", None),
        (f"?meter=tokens&{RANGE}&customer_id={{customer}}", None),
    ],
    ("GET", "/v1/usage/verification/days"): [(f"?{RANGE}", None)],
    ("GET", "/v1/usage/verification"): [(f"?meter={SECRET}&{RANGE}", None)],
    ("GET", "/v1/events"): [("", None), ("?idempotency_key=k1", None), ("?customer_id={customer}", None)],
    ("GET", "/v1/rejects"): [("", None), ("?meter=tokens&open=true", None)],
    ("POST", "/v1/rejects/replay"): [("", {"ids": []}), ("", {"meter": "tokens"})],
    ("GET", "/v1/meters"): [("", None)],
    ("POST", "/v1/meters"): [("", TOKENS | {"code": SECRET})],
    ("GET", "/v1/meters/{code}"): [("", None)],
    ("PATCH", "/v1/meters/{code}"): [("", {"name": "mine now"})],
    ("DELETE", "/v1/meters/{code}"): [("", None)],
    ("GET", "/v1/keys"): [("", None)],
    ("POST", "/v1/keys"): [
        ("", {"name": "k", "scopes": ["admin"]}),
        ("", {"name": "k", "scopes": ["read"], "mode": "test"}),
    ],
    ("POST", "/v1/keys/{id}/revoke"): [("", {})],
    ("GET", "/v1/status"): [("", None)],
}
"""The requests to each endpoint. A missing endpoint fails the test below."""


def every_endpoint(in_memory_app: InMemoryApp) -> list[Route]:
    ports = AppPorts(
        api_keys=in_memory_app.api_keys,
        accounts=in_memory_app.accounts,
        meters=in_memory_app.meters,
        fan_outs=in_memory_app.meters,
        intake=in_memory_app.intake,
        sink=in_memory_app.sink,
        usage=in_memory_app.reader,
        verification=in_memory_app.reader,
        events=in_memory_app.reader,
        status=in_memory_app.reader,
        replay_results=in_memory_app.replay_results,
        budget=MemoryBudget(1, NullMetrics()),
    )
    runtime = AppContext(clock=in_memory_app.clock, arrival=in_memory_app.clock, timer=lambda: 0.0)
    return routes(
        ports, AppPolicy(partitions=2), runtime, Authenticator(in_memory_app.api_keys, runtime.timer, runtime.clock)
    )


class MarkedAccount:
    """An account with one of each resource, each marked."""

    def __init__(self, account: AccountId, key_id: str, token: str) -> None:
        self.account = account
        self.key_id = key_id
        self.token = token
        self.reject = make_reject(account, 1).id


async def create_resources(in_memory_app: InMemoryApp, account: AccountId) -> MarkedAccount:
    key, token = await in_memory_app.api_keys.create(
        command_of(account), key_for(account, f"{SECRET}-key", *ALL_SCOPES)
    )
    headers = {"authorization": f"Bearer {token}"}
    for code in ("tokens", SECRET):
        await in_memory_app.client.post("/v1/meters", headers=headers, json=TOKENS | {"code": code, "name": SECRET})
    in_memory_app.reader.values[account] = {f"customer of {account}": Decimal(10)}
    in_memory_app.reader.stored.append(stored_event(account))
    in_memory_app.reader.stored_rejects.append(make_reject(account, 1))
    return MarkedAccount(account, key.id, token)


def requests_to(endpoint: Route, marked: MarkedAccount) -> Iterator[tuple[str, Any]]:
    """Each request of the table, addressed to the victim's resources."""
    path = endpoint.path.replace("{code}", SECRET).replace("{id}", marked.key_id)
    for query, body in REQUESTS[endpoint.method, endpoint.path]:
        aimed = query.replace("{customer}", f"customer of {marked.account}")
        names_rejects = isinstance(body, dict) and "ids" in body
        yield path + aimed, {"ids": [marked.reject]} if names_rejects else body


def snapshot(in_memory_app: InMemoryApp, account: AccountId) -> object:
    """Everything the ledger holds of an account."""
    keys = sorted((key.id, key.revoked_at) for key in in_memory_app.books.keys.values() if key.account == account)
    meters = [meter for meter in in_memory_app.books.meters.values() if meter.account == account]
    return keys, meters


async def test_every_endpoint_is_tried(in_memory_app: InMemoryApp) -> None:
    """The table of requests covers the table of routes, so no new route escapes."""
    assert set(REQUESTS) == {(endpoint.method, endpoint.path) for endpoint in every_endpoint(in_memory_app)}


@pytest.mark.parametrize("attacker", ["another company", "our test key", "our live key against test data"])
async def test_no_endpoint_crosses_accounts(in_memory_app: InMemoryApp, attacker: str) -> None:
    """A stranger's key sees nothing of the victim, changes nothing, and reaches ports for its own account only."""
    live, test = in_memory_app.ours[Mode.LIVE], in_memory_app.ours[Mode.TEST]
    owner, own = {
        "another company": (live, in_memory_app.theirs[Mode.LIVE]),
        "our test key": (live, test),
        "our live key against test data": (test, live),
    }[attacker]
    marked = await create_resources(in_memory_app, owner)
    stranger = await in_memory_app.key(own)
    before = snapshot(in_memory_app, owner)
    for endpoint in every_endpoint(in_memory_app):
        for url, body in requests_to(endpoint, marked):
            reply = await in_memory_app.client.request(endpoint.method, url, headers=stranger, json=body)
            assert reply.status_code < 500
            response = reply.text.replace(f"{SECRET}-customer", "") if endpoint.scope is Scope.INGEST else reply.text
            assert marked.account not in response, (endpoint, url)
            assert marked.key_id not in response.replace(url, "").replace(f"key {marked.key_id}", "")
            if (endpoint.method, endpoint.path) != ("POST", "/v1/meters"):
                assert f'"name":"{SECRET}' not in response, (endpoint, url)
    assert _touched_only(in_memory_app, own)
    if attacker != "our live key against test data":  # there a live key may make a key of its own test account
        assert snapshot(in_memory_app, owner) == before


def _touched_only(in_memory_app: InMemoryApp, own: AccountId) -> bool:
    """Whether every query to a reader, every event and every frame belongs to the account of the key."""
    queries: list[UsageQuery | EventQuery | RejectQuery] = in_memory_app.reader.queries
    posted = [posted.account for posted in in_memory_app.intake.posted]
    framed = [row["account"] for frame in in_memory_app.sink.frames for row in decode(frame.payload).to_pylist()]
    return {query.account for query in queries} | {*posted} | {*framed} == {own}


async def test_every_endpoint_is_in_the_readme(in_memory_app: InMemoryApp) -> None:
    """The README lists every endpoint with its scope."""
    lines = (Path(app.__file__).parents[1] / "README.md").read_text().splitlines()
    for endpoint in every_endpoint(in_memory_app):
        response = [
            line for line in lines if endpoint.method in line and endpoint.path.removeprefix("/v1/meters") in line
        ]
        assert any(f"| {endpoint.scope.value} |" in line for line in response), endpoint
