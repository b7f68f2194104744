"""A route: method, path, required scope, handler and description; and the dispatch by method."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.errors import MethodNotAllowed
from ingest_gateway.http.request import Request
from schemas.account import Scope as KeyScope

Handler = Callable[[Request], Awaitable[Response]]


class Description(NamedTuple):
    """What the OpenAPI document states of a route; the records also read the request."""

    summary: str = ""
    body_type: Any = None
    """The record of the body; None without a body, a tuple of alternatives."""
    query_type: Any = None
    """The record of the query parameters."""
    response_type: Any = None
    """The record of the whole response; a tuple if the record depends on the request."""
    status: int = 200
    details: str = ""
    """Sentences that follow the summary."""
    operation_id: str = ""
    """The operation's name in generated clients; empty derives it from method and path."""
    body_optional: bool = False
    """The request may omit the body."""
    other_bodies: Mapping[str, Any] = {}
    """Other media types of the body, and their types."""
    other_responses: Mapping[str, Any] = {}
    """Other media types of the response, and their types."""
    may_redirect: bool = False
    """The response may also be 303 with a `Location`."""
    error_statuses: tuple[int, ...] = ()
    """Error statuses besides those that follow from the method, the path and the records."""


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
