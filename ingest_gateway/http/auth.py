"""Authentication by API key with a short cache, and authorization of a route by scope and rate limit."""

import asyncio
import hashlib
import re
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.http.rate_limit import RateLimit
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.ports import ApiKeys
from schemas.account import ApiKey
from schemas.account import Scope as KeyScope
from schemas.errors import Forbidden, Unauthenticated
from schemas.timestamps import to_iso

CACHE_SECONDS = 3.0
CACHE_KEYS = 10_000

_BEARER = re.compile(rb"bearer +(\S+) *", re.IGNORECASE)
_KEY_FORMAT = re.compile(r"ak_(?:live|test)_.+")


class Authenticator:
    """Finds keys in the ledger and caches each for a few seconds; a revocation in this process takes effect at once.

    The cache holds the hash of the header, never a secret, so the duration of a comparison reveals nothing. Used from
    one event loop only.
    """

    def __init__(
        self,
        keys: ApiKeys,
        timer: Callable[[], float],
        clock: Callable[[], int],
        *,
        seconds: float = CACHE_SECONDS,
        capacity: int = CACHE_KEYS,
    ) -> None:
        self._keys = keys
        self._timer = timer
        self._clock = clock
        self._seconds = seconds
        self._capacity = capacity
        self._cache: dict[bytes, tuple[ApiKey, float]] = {}
        self._loading: dict[bytes, asyncio.Task[ApiKey]] = {}
        self._revocations = 0

    async def key_of(self, authorization: bytes | None) -> ApiKey:
        """Raises Unauthenticated, or StoreFailed if the ledger does not answer."""
        if authorization is None:
            raise _unauthorized()
        digest = hashlib.sha256(authorization).digest()
        cached = self._cache.get(digest)
        if cached is not None and self._timer() < cached[1]:
            return self._unexpired(cached[0])
        return await self._load_once(digest, _token(authorization))

    def forget(self, key_id: str) -> None:
        """Drops a revoked key from the cache, and keeps lookups in flight out of it."""
        self._revocations += 1
        self._cache = {digest: cached for digest, cached in self._cache.items() if cached[0].id != key_id}

    async def _load_once(self, digest: bytes, token: str) -> ApiKey:
        """One lookup in the ledger for all requests that wait for the same key."""
        loading = self._loading.get(digest)
        if loading is None:
            loading = self._loading[digest] = asyncio.create_task(self._load(digest, token))
            loading.add_done_callback(lambda _: self._loading.pop(digest))
        return await asyncio.shield(loading)

    async def _load(self, digest: bytes, token: str) -> ApiKey:
        revocations = self._revocations
        key = await self._keys.find(token)
        if key is None:
            raise Unauthenticated("Invalid API key", code="INVALID_API_KEY")
        if key.revoked_at is not None:
            raise Unauthenticated("API key has been revoked", code="API_KEY_REVOKED")
        self._unexpired(key)
        if revocations == self._revocations:  # otherwise the key found may be older than a revocation
            self._remember(digest, key)
        return key

    def _unexpired(self, key: ApiKey) -> ApiKey:
        if key.expires_at is not None and key.has_expired(self._clock()):
            raise Unauthenticated(
                f"API key has expired at {to_iso(key.expires_at)}; create another with POST /v1/keys, by an admin key "
                "that is still valid, and use that",
                code="API_KEY_EXPIRED",
            )
        return key

    def _remember(self, digest: bytes, key: ApiKey) -> None:
        now = self._timer()
        if len(self._cache) >= self._capacity:
            self._cache = {digest: cached for digest, cached in self._cache.items() if now < cached[1]}
        if len(self._cache) >= self._capacity:
            self._cache.clear()
        self._cache[digest] = (key, now + self._seconds)


def _token(authorization: bytes) -> str:
    bearer = _BEARER.fullmatch(authorization)
    if bearer is None:
        raise _unauthorized()
    token = bearer[1].decode("utf-8", "surrogateescape")
    if _KEY_FORMAT.fullmatch(token) is None:
        raise Unauthenticated("Invalid API key format", code="INVALID_API_KEY")
    return token


def _unauthorized() -> Unauthenticated:
    return Unauthenticated("Missing or invalid Authorization header", code="UNAUTHORIZED")


class AuthorizedRoute:
    """Runs a route for a valid key with the route's scope, within the account's rate."""

    def __init__(
        self, route: Route, authenticator: Authenticator, rate: RateLimit, budget: MemoryBudget, body_seconds: float
    ) -> None:
        self._route = route
        self._authenticator = authenticator
        self._rate = rate
        self._budget = budget
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = await self._authenticator.key_of(scope["header"].get(b"authorization"))
        scope["rated"] = True
        self._rate.take(key.account, scope["reply_headers"])
        _check_scope(key, self._route.scope)
        reply = await self._route.handle(Request(scope, receive, key, self._budget, self._body_seconds))
        await reply.send(send)


def _check_scope(key: ApiKey, needed: KeyScope) -> None:
    if not key.allows(needed):
        raise Forbidden(
            f"this key lacks the scope {needed.value!r}; use one that has it, or create one with POST /v1/keys",
            details={"missing_scope": needed.value},
        )
