"""Pages for people without a key: whoever knows the address may see what it names."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from msgspec import Meta
from starlette.types import Receive, Scope, Send

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.errors import Headers, MethodNotAllowed
from ingest_gateway.http.request import Description, PublicRoute

HTML = b"text/html; charset=utf-8"
HtmlText = Annotated[str, Meta(examples=["<!doctype html>"])]
HTML_RESPONSE = {"text/html": HtmlText}
"""For what an About also gives."""

_HEADERS: Headers = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"private, no-store"),
    (b"x-robots-tag", b"noindex"),
]
"""Nothing from elsewhere, nothing kept, nothing told to others: the address is the secret."""

Show = Callable[[dict[str, str]], Awaitable[Response]]
"""From the variable parts of the path to the page."""


def html(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), HTML, list(_HEADERS))


def path_params(scope: Scope) -> dict[str, str]:
    """The variable parts of the path. No store can look for a NUL, so it stands for what is no part of any token."""
    parts: dict[str, str] = scope["path_params"]
    return {name: part.replace("\x00", "\ufffd") for name, part in parts.items()}


def public_page(path: str, show: Show, description: Description) -> PublicRoute:
    """By GET or HEAD."""
    return PublicRoute(path, _PublicPage(show), description)


class _PublicPage:
    def __init__(self, show: Show) -> None:
        self._show = show

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(
                f"{scope['method']} is not possible on {scope['path']}", details={"allowed": ["GET", "HEAD"]}
            )
        await (await self._show(path_params(scope))).send(send)
