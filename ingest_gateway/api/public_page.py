"""Pages for people without a key: whoever knows the address may see what it names."""

from collections.abc import Awaitable, Callable

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ingest_gateway.api.envelope import Reply
from ingest_gateway.api.problems import Headers, MethodNotAllowed

HTML = b"text/html; charset=utf-8"

_HEADERS: Headers = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"private, no-store"),
    (b"x-robots-tag", b"noindex"),
]
"""Nothing from elsewhere, nothing kept, nothing told to others: the address is the secret."""

Show = Callable[[dict[str, str]], Awaitable[Reply]]
"""From the variable parts of the path to the page."""


Page = Route


def html(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), HTML, list(_HEADERS))


def public_page(path: str, show: Show) -> Page:
    """By GET or HEAD."""
    return Route(path, _PublicPage(show))


class _PublicPage:
    def __init__(self, show: Show) -> None:
        self._show = show

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(
                f"{scope['method']} is not possible on {scope['path']}", details={"allowed": ["GET", "HEAD"]}
            )
        await (await self._show(scope["path_params"])).send(send)
