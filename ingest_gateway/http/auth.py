"""Who is asking: the key behind an Authorization header, remembered for a few seconds."""

import asyncio
import hashlib
import re
from collections.abc import Callable

from ingest_gateway.ports import ApiKeys
from schemas.account import ApiKey
from schemas.errors import Unauthenticated
from schemas.timestamps import to_iso

REMEMBERED_SECONDS = 3.0
REMEMBERED_KEYS = 10_000

_BEARER = re.compile(rb"bearer +(\S+) *", re.IGNORECASE)
_FORM = re.compile(r"ak_(?:live|test)_.+")


class Authenticator:
    """Asks the ledger once per key and few seconds; a revocation in this process counts at once.

    What is remembered is found by the hash of the header: no secret is kept, and nothing about one can be
    learned from how long a comparison takes. Used from one event loop only.
    """

    def __init__(
        self,
        keys: ApiKeys,
        timer: Callable[[], float],
        clock: Callable[[], int],
        *,
        seconds: float = REMEMBERED_SECONDS,
        capacity: int = REMEMBERED_KEYS,
    ) -> None:
        self._keys = keys
        self._timer = timer
        self._clock = clock
        self._seconds = seconds
        self._capacity = capacity
        self._known: dict[bytes, tuple[ApiKey, float]] = {}
        self._asking: dict[bytes, asyncio.Task[ApiKey]] = {}
        self._revocations = 0

    async def key_of(self, authorization: bytes | None) -> ApiKey:
        """Raises Unauthenticated, or StoreFailed where the ledger does not answer."""
        if authorization is None:
            raise _unauthorized()
        digest = hashlib.sha256(authorization).digest()
        known = self._known.get(digest)
        if known is not None and self._timer() < known[1]:
            return self._unexpired(known[0])
        return await self._ask_once(digest, _token(authorization))

    def forget(self, key_id: str) -> None:
        """The key was revoked: do not believe in it any longer."""
        self._revocations += 1
        self._known = {digest: known for digest, known in self._known.items() if known[0].id != key_id}

    async def _ask_once(self, digest: bytes, token: str) -> ApiKey:
        """However many requests wait for one key, the ledger is asked once."""
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(digest, token))
            asking.add_done_callback(lambda _: self._asking.pop(digest))
        return await asyncio.shield(asking)

    async def _ask(self, digest: bytes, token: str) -> ApiKey:
        revocations = self._revocations
        key = await self._keys.find(token)
        if key is None:
            raise Unauthenticated("Invalid API key", code="INVALID_API_KEY")
        if key.revoked_at is not None:
            raise Unauthenticated("API key has been revoked", code="API_KEY_REVOKED")
        self._unexpired(key)
        if revocations == self._revocations:  # else this answer may be older than a revocation
            self._remember(digest, key)
        return key

    def _unexpired(self, key: ApiKey) -> ApiKey:
        if key.expires_at is not None and key.has_expired(self._clock()):
            raise Unauthenticated(
                f"API key has expired at {to_iso(key.expires_at)}; make another with POST /v1/keys, by an admin key "
                "that is still good, and use that",
                code="API_KEY_EXPIRED",
            )
        return key

    def _remember(self, digest: bytes, key: ApiKey) -> None:
        now = self._timer()
        if len(self._known) >= self._capacity:
            self._known = {digest: known for digest, known in self._known.items() if now < known[1]}
        if len(self._known) >= self._capacity:
            self._known.clear()
        self._known[digest] = (key, now + self._seconds)


def _token(authorization: bytes) -> str:
    bearer = _BEARER.fullmatch(authorization)
    if bearer is None:
        raise _unauthorized()
    token = bearer[1].decode("utf-8", "surrogateescape")
    if _FORM.fullmatch(token) is None:
        raise Unauthenticated("Invalid API key format", code="INVALID_API_KEY")
    return token


def _unauthorized() -> Unauthenticated:
    return Unauthenticated("Missing or invalid Authorization header", code="UNAUTHORIZED")
