"""Keys over HTTP: administrators create them, the secret is shown once, and a revoked key is refused."""

import pytest

from schemas.account import Mode
from schemas.timestamps import DAY, to_iso
from tests.contracts.commands import command_of, key_for
from tests.ingest_gateway.conftest import InMemoryApp

pytestmark = pytest.mark.anyio


async def test_a_new_key_works_at_once(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The token is in this response and in no other, and has the scopes of the request."""
    made = await in_memory_app.client.post("/v1/keys", headers=auth, json={"name": "reader", "scopes": ["read"]})
    assert made.status_code == 201
    key = made.json()["api_key"]
    assert (key["name"], key["scopes"], key["mode"], key["revoked_at"]) == ("reader", ["read"], "live", None)
    reader = {"authorization": f"Bearer {key['token']}"}
    assert (await in_memory_app.client.get("/v1/status", headers=reader)).status_code == 200
    assert (await in_memory_app.client.get("/v1/keys", headers=reader)).status_code == 403
    assert key["token"] not in (await in_memory_app.client.get("/v1/keys", headers=auth)).text


async def test_a_live_key_creates_the_first_test_key(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """A live key reaches test data through a new key; a test key never reaches live data."""
    queries = {"name": "t", "scopes": ["admin"], "mode": "test"}
    test = (await in_memory_app.client.post("/v1/keys", headers=auth, json=queries)).json()["api_key"]
    assert test["token"].startswith("ak_test_")
    found = await in_memory_app.api_keys.find(test["token"])
    assert found is not None
    assert found.account == in_memory_app.ours[Mode.TEST]
    tester = {"authorization": f"Bearer {test['token']}"}
    assert (await in_memory_app.client.post("/v1/keys", headers=tester, json=queries)).status_code == 201
    refused = await in_memory_app.client.post("/v1/keys", headers=tester, json=queries | {"mode": "live"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": "a\x07", "scopes": ["read"]}, "name"),
        ({"name": "x" * 256, "scopes": ["read"]}, "name"),
        ({"name": "a"}, "scopes"),
        ({"name": "a", "scopes": []}, "scopes"),
        ({"name": "a", "scopes": "read"}, "scopes"),
        ({"name": "a", "scopes": ["write"]}, "scopes[0]"),
        ({"name": "a", "scopes": [["read"]]}, "scopes[0]"),
        ({"name": "a", "scopes": ["read"], "expires_at": 5}, "expires_at"),
        ({"name": "a", "scopes": ["read"], "mode": "prod"}, "mode"),
        ({"name": "a", "scopes": ["read"], "scope": 1}, "scope"),
    ],
)
async def test_mistakes_name_their_field(
    in_memory_app: InMemoryApp, auth: dict[str, str], body: dict[str, object], field: str
) -> None:
    """A request with any mistake creates no key."""
    before = len(in_memory_app.books.keys)
    reply = await in_memory_app.client.post("/v1/keys", headers=auth, json=body)
    assert reply.status_code == 400
    assert field in [mistake["field"] for mistake in reply.json()["error"]["details"]]
    assert len(in_memory_app.books.keys) == before


async def test_an_unknown_key_is_404(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """An unknown id, or one of another account, is not found."""
    stranger, _ = await in_memory_app.api_keys.create(
        command_of(in_memory_app.theirs[Mode.LIVE]), key_for(in_memory_app.theirs[Mode.LIVE])
    )
    for key_id in ("nope", stranger.id):
        assert (await in_memory_app.client.post(f"/v1/keys/{key_id}/revoke", headers=auth)).status_code == 404


async def test_a_key_may_expire(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The expiry is shown from the start and in every list."""
    ends = to_iso(in_memory_app.clock.now + 90 * DAY)
    queries = {"name": "ci", "scopes": ["read"], "expires_at": ends}
    made = (await in_memory_app.client.post("/v1/keys", headers=auth, json=queries)).json()["api_key"]
    assert made["expires_at"] == ends
    listed = (await in_memory_app.client.get("/v1/keys", headers=auth)).json()["api_keys"]
    assert [key["expires_at"] for key in listed] == [None, ends]


@pytest.mark.parametrize(("ends", "says"), [("tomorrow", "ISO 8601"), ("2020-01-01T00:00:00Z", "is over")])
async def test_an_expiry_is_in_the_future(
    in_memory_app: InMemoryApp, auth: dict[str, str], ends: str, says: str
) -> None:
    """A key that could never be used is refused."""
    queries = {"name": "ci", "scopes": ["read"], "expires_at": ends}
    error = (await in_memory_app.client.post("/v1/keys", headers=auth, json=queries)).json()["error"]
    assert error["message"].startswith("expires_at: ")
    assert says in error["message"]


async def test_a_repeated_request_creates_no_second_key(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The response names the first key, whose secret was shown once, and states what to do."""
    queries = {"name": "ci", "scopes": ["read"]}
    headers = auth | {"idempotency-key": "k1"}
    made = (await in_memory_app.client.post("/v1/keys", headers=headers, json=queries)).json()["api_key"]
    again = await in_memory_app.client.post("/v1/keys", headers=headers, json=queries)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "SECRET_SHOWN_ONCE")
    assert made["id"] in again.text
    assert made["token"] not in again.text
    assert len((await in_memory_app.client.get("/v1/keys", headers=auth)).json()["api_keys"]) == 2


async def test_the_last_admin_key_is_revoked_by_force_alone(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The refusal states the way; afterwards the key is refused like any revoked one."""
    (own,) = (await in_memory_app.client.get("/v1/keys", headers=auth)).json()["api_keys"]
    path = f"/v1/keys/{own['id']}/revoke"
    refused = await in_memory_app.client.post(path, headers=auth)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "LAST_ADMIN_KEY")
    assert "keys bootstrap" in refused.json()["error"]["message"]
    assert (await in_memory_app.client.post(f"{path}?force=perhaps", headers=auth)).status_code == 400
    assert (await in_memory_app.client.post(f"{path}?force=true", headers=auth)).status_code == 200
    assert (await in_memory_app.client.get("/v1/keys", headers=auth)).status_code == 401
