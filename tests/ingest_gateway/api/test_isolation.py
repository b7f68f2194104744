"""No endpoint shows one account's data to another's key, nor live data to a test key; generated over all routes."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest_gateway.api import app
from ingest_gateway.api.app import Policy, Ports, Surroundings, endpoints
from ingest_gateway.http.auth import Authenticator
from ingest_gateway.http.memory_budget import Budget
from ingest_gateway.http.request import Endpoint
from schemas.account import Mode, Scope
from schemas.frame import decode
from schemas.ids import AccountId
from schemas.listing import EventQuery, RejectQuery
from schemas.metrics import NoMetrics
from schemas.usage import UsageQuery
from tests.contracts.commands import by, key_for
from tests.ingest_gateway.conftest import ALL_SCOPES, TOKENS, World
from tests.ingest_gateway.fakes import kept_reject, stored_event

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
"""What is asked at each endpoint. An endpoint that is missing here fails the test below."""


def every_endpoint(world: World) -> list[Endpoint]:
    ports = Ports(
        api_keys=world.api_keys,
        accounts=world.accounts,
        meters=world.meters,
        intake=world.intake,
        sink=world.sink,
        usage=world.reader,
        events=world.reader,
        status=world.reader,
        retries=world.retries,
        budget=Budget(1, NoMetrics()),
    )
    around = Surroundings(clock=world.clock, arrival=world.clock, timer=lambda: 0.0)
    return endpoints(ports, Policy(partitions=2), around, Authenticator(world.api_keys, around.timer, around.clock))


class Victim:
    """An account with something of everything, each thing marked."""

    def __init__(self, account: AccountId, key_id: str, token: str) -> None:
        self.account = account
        self.key_id = key_id
        self.token = token
        self.reject = kept_reject(account, 1).id


async def furnish(world: World, account: AccountId) -> Victim:
    key, token = await world.api_keys.create(by(account), key_for(account, f"{SECRET}-key", *ALL_SCOPES))
    headers = {"authorization": f"Bearer {token}"}
    for code in ("tokens", SECRET):
        await world.client.post("/v1/meters", headers=headers, json=TOKENS | {"code": code, "name": SECRET})
    world.reader.values[account] = {f"customer of {account}": Decimal(10)}
    world.reader.stored.append(stored_event(account))
    world.reader.kept.append(kept_reject(account, 1))
    return Victim(account, key.id, token)


def requests_to(endpoint: Endpoint, victim: Victim) -> Iterator[tuple[str, Any]]:
    """Each request of the table, aimed at the victim."""
    path = endpoint.path.replace("{code}", SECRET).replace("{id}", victim.key_id)
    for query, body in REQUESTS[endpoint.method, endpoint.path]:
        aimed = query.replace("{customer}", f"customer of {victim.account}")
        names_rejects = isinstance(body, dict) and "ids" in body
        yield path + aimed, {"ids": [victim.reject]} if names_rejects else body


def snapshot(world: World, account: AccountId) -> object:
    """Everything the ledger holds of an account."""
    keys = sorted((key.id, key.revoked_at) for key in world.books.keys.values() if key.account == account)
    meters = [meter for meter in world.books.meters.values() if meter.account == account]
    return keys, meters


async def test_every_endpoint_is_tried(world: World) -> None:
    """The table of requests is the table of endpoints, so no new endpoint escapes."""
    assert set(REQUESTS) == {(endpoint.method, endpoint.path) for endpoint in every_endpoint(world)}


@pytest.mark.parametrize("attacker", ["another company", "our test key", "our live key against test data"])
async def test_no_endpoint_crosses_accounts(world: World, attacker: str) -> None:
    """Whatever a stranger's key asks, it sees nothing of the victim, changes nothing, and asks only for its own."""
    live, test = world.ours[Mode.LIVE], world.ours[Mode.TEST]
    victim_account, own = {
        "another company": (live, world.theirs[Mode.LIVE]),
        "our test key": (live, test),
        "our live key against test data": (test, live),
    }[attacker]
    victim = await furnish(world, victim_account)
    stranger = await world.key(own)
    before = snapshot(world, victim_account)
    for endpoint in every_endpoint(world):
        for url, body in requests_to(endpoint, victim):
            reply = await world.client.request(endpoint.method, url, headers=stranger, json=body)
            assert reply.status_code < 500
            told = reply.text.replace(f"{SECRET}-customer", "") if endpoint.scope is Scope.INGEST else reply.text
            assert victim.account not in told, (endpoint, url)
            assert victim.key_id not in told.replace(url, "").replace(f"key {victim.key_id}", "")
            if (endpoint.method, endpoint.path) != ("POST", "/v1/meters"):
                assert f'"name":"{SECRET}' not in told, (endpoint, url)
    assert _touched_only(world, own)
    if attacker != "our live key against test data":  # there a live key may make a key of its own test account
        assert snapshot(world, victim_account) == before


def _touched_only(world: World, own: AccountId) -> bool:
    """Every question to a reader, every event and every frame belongs to the account that asked."""
    questions: list[UsageQuery | EventQuery | RejectQuery] = world.reader.asked
    posted = [posted.account for posted in world.intake.posted]
    framed = [row["account"] for frame in world.sink.frames for row in decode(frame.payload).to_pylist()]
    return {question.account for question in questions} | {*posted} | {*framed} == {own}


async def test_every_endpoint_is_in_the_readme(world: World) -> None:
    """What can be asked is written down beside the scope it takes."""
    lines = (Path(app.__file__).parents[1] / "README.md").read_text().splitlines()
    for endpoint in every_endpoint(world):
        told = [line for line in lines if endpoint.method in line and endpoint.path.removeprefix("/v1/meters") in line]
        assert any(f"| {endpoint.scope.value} |" in line for line in told), endpoint
