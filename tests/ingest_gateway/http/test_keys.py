"""Keys over HTTP: made by administrators, shown once, revoked."""

import pytest

from schemas.account import Mode, Scope
from tests.ingest_gateway.http.conftest import World

pytestmark = pytest.mark.anyio


async def test_a_new_key_works_at_once(world: World, auth: dict[str, str]) -> None:
    """The token is in this one answer and in no other, and does what its scopes say."""
    made = await world.client.post("/v1/keys", headers=auth, json={"name": "reader", "scopes": ["read"]})
    assert made.status_code == 201
    key = made.json()["api_key"]
    assert (key["name"], key["scopes"], key["mode"], key["revoked_at"]) == ("reader", ["read"], "live", None)
    reader = {"authorization": f"Bearer {key['token']}"}
    assert (await world.client.get("/v1/status", headers=reader)).status_code == 200
    assert (await world.client.get("/v1/keys", headers=reader)).status_code == 403
    assert key["token"] not in (await world.client.get("/v1/keys", headers=auth)).text


async def test_a_live_key_makes_the_first_test_key(world: World, auth: dict[str, str]) -> None:
    """Test data is reached through the live account; live data is never reached through a test key."""
    asked = {"name": "t", "scopes": ["admin"], "mode": "test"}
    test = (await world.client.post("/v1/keys", headers=auth, json=asked)).json()["api_key"]
    assert test["token"].startswith("ak_test_")
    found = await world.api_keys.find(test["token"])
    assert found is not None
    assert found.account == world.ours[Mode.TEST]
    tester = {"authorization": f"Bearer {test['token']}"}
    assert (await world.client.post("/v1/keys", headers=tester, json=asked)).status_code == 201
    refused = await world.client.post("/v1/keys", headers=tester, json=asked | {"mode": "live"})
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
        ({"name": "a", "scopes": ["write"]}, "scopes"),
        ({"name": "a", "scopes": [["read"]]}, "scopes"),
        ({"name": "a", "scopes": ["read"], "mode": "prod"}, "mode"),
        ({"name": "a", "scopes": ["read"], "scope": 1}, "scope"),
    ],
)
async def test_mistakes_name_their_field(
    world: World, auth: dict[str, str], body: dict[str, object], field: str
) -> None:
    """No key is made of a request that is wrong anywhere."""
    before = len(world.books.keys)
    reply = await world.client.post("/v1/keys", headers=auth, json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["details"]["field"] == field
    assert len(world.books.keys) == before


async def test_only_what_is_there_is_revoked(world: World, auth: dict[str, str]) -> None:
    """An unknown id, or one of another account, is not found."""
    stranger, _ = await world.api_keys.create(world.theirs[Mode.LIVE], "k", frozenset({Scope.READ}))
    for key_id in ("nope", stranger.id):
        assert (await world.client.post(f"/v1/keys/{key_id}/revoke", headers=auth)).status_code == 404
