"""A route: method, path, required scope, handler and description; and the dispatch by method."""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Response
from ingest_gateway.http.errors import MethodNotAllowed
from ingest_gateway.http.request import Request
from schemas.account import Scope as KeyScope

Handler = Callable[[Request], Awaitable[Response]]


class PublicRoute(NamedTuple):
    """A page that needs no key."""

    path: str
    page: ASGIApp
    description: Description
    method: str = "GET"


class Route(NamedTuple):
    """A route that needs a key with its scope."""

    method: str
    path: str
    scope: KeyScope
    handle: Handler
    description: Description = Description()


class MethodRouter:
    """The routes of one path, by method."""

    def __init__(self, by_method: Mapping[str, ASGIApp]) -> None:
        self._by_method = by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._by_method.get(scope["method"])
        if route is None:
            allowed = sorted(self._by_method)
            raise MethodNotAllowed(
                f"{scope['method']} is not possible on {scope['path']}; possible: {', '.join(allowed)}",
                details={"allowed": allowed},
            )
        await route(scope, receive, send)
