"""What stands before every endpoint: the method, the key, the rate limit, the scope."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from ingest_gateway.http.auth import Authenticator
from ingest_gateway.http.errors import MethodNotAllowed
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.http.rate_limit import RateLimit
from ingest_gateway.http.request import Request, Route
from schemas.account import ApiKey
from schemas.account import Scope as KeyScope
from schemas.errors import Forbidden


class AuthorizedRoute:
    """Lets a good key with the right scope through to its endpoint, within the account's rate."""

    def __init__(
        self, endpoint: Route, authenticator: Authenticator, rate: RateLimit, budget: MemoryBudget, body_seconds: float
    ) -> None:
        self._endpoint = endpoint
        self._authenticator = authenticator
        self._rate = rate
        self._budget = budget
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = await self._authenticator.key_of(scope["header"].get(b"authorization"))
        scope["rated"] = True
        self._rate.take(key.account, scope["reply_headers"])
        _check_scope(key, self._endpoint.scope)
        reply = await self._endpoint.handle(Request(scope, receive, key, self._budget, self._body_seconds))
        await reply.send(send)


class MethodRouter:
    """The endpoints of one path, by method."""

    def __init__(self, by_method: Mapping[str, AuthorizedRoute]) -> None:
        self._by_method = by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guard = self._by_method.get(scope["method"])
        if guard is None:
            allowed = sorted(self._by_method)
            raise MethodNotAllowed(
                f"{scope['method']} is not possible on {scope['path']}; possible: {', '.join(allowed)}",
                details={"allowed": allowed},
            )
        await guard(scope, receive, send)


def _check_scope(key: ApiKey, needed: KeyScope) -> None:
    if not key.allows(needed):
        raise Forbidden(
            f"this key lacks the scope {needed.value!r}; use one that has it, or create one with POST /v1/keys",
            details={"missing_scope": needed.value},
        )
