"""Which keys are accepted, and how the others are refused."""

import asyncio

import pytest

from ingest_gateway.http.auth import Authenticator
from schemas.account import ApiKey, Mode, Scope
from schemas.errors import StoreFailed
from schemas.timestamps import DAY
from tests.contracts.commands import command_of, key_for
from tests.ingest_gateway.conftest import InMemoryApp

pytestmark = pytest.mark.anyio

FORMAT = ("INVALID_API_KEY", "Invalid API key format")
HEADER = ("UNAUTHORIZED", "Missing or invalid Authorization header")


@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        (None, HEADER),
        ("", HEADER),
        ("Bearer", HEADER),
        ("Bearer ", HEADER),
        ("Basic dXNlcjpwYXNz", HEADER),
        ("ak_live_0123456789abcdef", HEADER),
        ("Bearer two words", HEADER),
        ("Bearer sk_live_0123456789abcdef", FORMAT),
        ("Bearer ak_prod_0123456789abcdef", FORMAT),
        ("Bearer ak_live_", FORMAT),
        ("Bearer \u00e9\u00ff", FORMAT),
        ("Bearer ak_live_0123456789abcdef", ("INVALID_API_KEY", "Invalid API key")),
        ("bearer ak_test_nobody", ("INVALID_API_KEY", "Invalid API key")),
        ("Bearer ak_live_\u00e9", ("INVALID_API_KEY", "Invalid API key")),
    ],
)
async def test_refusals_follow_the_contract(
    in_memory_app: InMemoryApp, header: str | None, refusal: tuple[str, str]
) -> None:
    """Each refusal has the code and the message of the contract."""
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    reply = await in_memory_app.client.get("/v1/meters", headers=headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["message"]) == (401, *refusal)
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_key_is_refused_at_once(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The next request after a revocation over the API is refused."""
    key, token = await in_memory_app.api_keys.create(
        command_of(in_memory_app.ours[Mode.LIVE]), key_for(in_memory_app.ours[Mode.LIVE])
    )
    victim = {"authorization": f"Bearer {token}"}
    assert (await in_memory_app.client.get("/v1/meters", headers=victim)).status_code == 200
    assert (await in_memory_app.client.post(f"/v1/keys/{key.id}/revoke", headers=auth)).status_code == 200
    reply = await in_memory_app.client.get("/v1/meters", headers=victim)
    assert reply.status_code == 401
    assert reply.json()["error"] == {
        "code": "API_KEY_REVOKED",
        "message": "API key has been revoked",
    }


async def test_an_expired_key_is_refused(in_memory_app: InMemoryApp) -> None:
    """To the microsecond, even for a cached key, with a way to mend it."""
    account, ends = in_memory_app.ours[Mode.LIVE], in_memory_app.clock.now + DAY
    _, token = await in_memory_app.api_keys.create(command_of(account), key_for(account, expires_at=ends))
    headers = {"authorization": f"Bearer {token}"}
    in_memory_app.clock.now = ends - 1
    assert (await in_memory_app.client.get("/v1/meters", headers=headers)).status_code == 200
    in_memory_app.clock.now = ends
    for _ in range(2):
        reply = await in_memory_app.client.get("/v1/meters", headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "API_KEY_EXPIRED")
        assert "POST /v1/keys" in reply.json()["error"]["message"]
        in_memory_app.seconds += 10.0


async def test_a_revocation_elsewhere_counts_within_seconds(in_memory_app: InMemoryApp) -> None:
    """A key revoked by another process is refused when its cache entry expires."""
    key, token = await in_memory_app.api_keys.create(
        command_of(in_memory_app.ours[Mode.LIVE]), key_for(in_memory_app.ours[Mode.LIVE])
    )
    headers = {"authorization": f"Bearer {token}"}
    assert (await in_memory_app.client.get("/v1/meters", headers=headers)).status_code == 200
    await in_memory_app.api_keys.revoke(command_of(key.account), key.id)
    assert (await in_memory_app.client.get("/v1/meters", headers=headers)).status_code == 200
    in_memory_app.seconds += 3.0
    assert (await in_memory_app.client.get("/v1/meters", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/events/ingest", Scope.INGEST),
        ("POST", "/api/v1/events", Scope.INGEST),
        ("GET", "/v1/usage", Scope.READ),
        ("GET", "/v1/events", Scope.READ),
        ("GET", "/v1/rejects", Scope.READ),
        ("GET", "/v1/status", Scope.READ),
        ("GET", "/v1/meters", Scope.READ),
        ("GET", "/v1/meters/tokens", Scope.READ),
        ("POST", "/v1/meters", Scope.ADMIN),
        ("PATCH", "/v1/meters/tokens", Scope.ADMIN),
        ("DELETE", "/v1/meters/tokens", Scope.ADMIN),
        ("POST", "/v1/rejects/replay", Scope.ADMIN),
        ("GET", "/v1/keys", Scope.ADMIN),
        ("POST", "/v1/keys", Scope.ADMIN),
        ("POST", "/v1/keys/c1/revoke", Scope.ADMIN),
    ],
)
async def test_every_endpoint_needs_its_scope(in_memory_app: InMemoryApp, method: str, path: str, scope: Scope) -> None:
    """A key with every other scope is refused, naming the missing one; `admin` includes all but backfill."""
    others = set(Scope) - {scope, Scope.ADMIN}
    reply = await in_memory_app.client.request(method, path, headers=await in_memory_app.key(None, *others))
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (403, "FORBIDDEN")
    assert error["details"] == {"missing_scope": scope.value}
    assert scope.value in error["message"]
    admin = await in_memory_app.client.request(method, path, headers=await in_memory_app.key(None, Scope.ADMIN))
    assert admin.status_code != 403


class CountingApiKeys:
    """Answers when a test lets it, and counts its queries."""

    def __init__(self, key: ApiKey | None) -> None:
        self.key = key
        self.queries = 0
        self.open = asyncio.Event()
        self.reached = asyncio.Event()

    async def find(self, token: str) -> ApiKey | None:
        self.queries += 1
        self.reached.set()
        await self.open.wait()
        return self.key


def _key(revoked_at: int | None = None) -> ApiKey:
    return ApiKey(
        id="c1",
        account="a",  # type: ignore[arg-type]  # any text serves as an account here
        mode=Mode.LIVE,
        name="k",
        prefix="ak_live_",
        scopes=frozenset({Scope.READ}),
        created_at=1,
        revoked_at=revoked_at,
    )


async def test_many_requests_query_the_ledger_once() -> None:
    """A hundred concurrent requests with one uncached key cost one lookup, and later ones none."""
    keys = CountingApiKeys(_key())
    authenticator = Authenticator(keys, lambda: 0.0, lambda: 0)  # type: ignore[arg-type]  # only `find` is used
    waiting = [asyncio.create_task(authenticator.key_of(b"Bearer ak_live_x")) for _ in range(100)]
    await keys.reached.wait()
    keys.open.set()
    assert {key.id for key in await asyncio.gather(*waiting)} == {"c1"}
    await authenticator.key_of(b"Bearer ak_live_x")
    assert keys.queries == 1


async def test_a_lookup_older_than_a_revocation_is_not_cached() -> None:
    """A lookup in flight during a revocation does not cache the key."""
    keys = CountingApiKeys(_key())
    authenticator = Authenticator(keys, lambda: 0.0, lambda: 0)  # type: ignore[arg-type]  # only `find` is used
    waiting = asyncio.create_task(authenticator.key_of(b"Bearer ak_live_x"))
    await keys.reached.wait()
    authenticator.forget("c1")
    keys.open.set()
    await waiting
    await authenticator.key_of(b"Bearer ak_live_x")
    assert keys.queries == 2


async def test_the_cache_is_bounded() -> None:
    """More valid keys than fit evict others; all are accepted."""
    keys = CountingApiKeys(_key())
    keys.open.set()
    authenticator = Authenticator(keys, lambda: 0.0, lambda: 0, capacity=4)  # type: ignore[arg-type]  # only `find` is used
    for number in range(20):
        await authenticator.key_of(b"Bearer ak_live_%d" % number)
        assert len(authenticator._cache) <= 4


async def test_a_ledger_that_is_down_is_503(in_memory_app: InMemoryApp) -> None:
    """Without the ledger no uncached key is accepted, and the response has `Retry-After`."""

    class Down:
        async def find(self, token: str) -> ApiKey | None:
            raise StoreFailed("connection refused to ledger.internal")

    async with in_memory_app.serve(ports={"api_keys": Down()}) as client:
        reply = await client.get("/v1/meters", headers={"authorization": "Bearer ak_live_0123"})
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "1"
    assert reply.json()["error"]["code"] == "UNAVAILABLE"
    assert "internal" not in reply.text
