"""Pages without an API key: read-only pages and pages with one button."""

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from functools import cache
from hashlib import sha256
from typing import Annotated, Literal
from urllib.parse import parse_qs, quote

import msgspec
from msgspec import Meta
from starlette.types import Receive, Scope, Send

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.errors import Headers, MethodNotAllowed
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.http.request_body import read_body
from ingest_gateway.http.route import Description, PublicRoute
from schemas.errors import Invalid
from schemas.metrics import NullMetrics

HTML = b"text/html; charset=utf-8"
HtmlText = Annotated[str, Meta(examples=["<!doctype html>"])]
HTML_RESPONSE = {"text/html": HtmlText}
"""For `Description.other_responses`."""

_SECRET_ADDRESS: Headers = [(b"cache-control", b"private, no-store"), (b"x-robots-tag", b"noindex")]

Show = Callable[[dict[str, str]], Awaitable[Response]]
"""From the variable parts of the path to the page."""


def html(text: str, style: str, status: int = 200, *, form_action: str = "'none'") -> Response:
    """A page that is not cached: its address is a secret. `style` is its one style sheet."""
    return Response(status, text.encode(), HTML, [*page_headers(style, form_action), *_SECRET_ADDRESS])


@cache
def page_headers(style: str, form_action: str = "'none'") -> Headers:
    """Headers of a page that fetches nothing, runs nothing, is in no frame and leaks no referrer.

    `form_action` lists where its form may lead, as in a Content-Security-Policy.
    """
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action {form_action}; "
        "frame-ancestors 'none'"
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]


_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-]+(?::[0-9]{1,5})?(?=[/?#]|$)")


def form_action_to(*urls: str | None) -> str:
    """Where the form of a page may lead: to itself, and on to the origins of these URLs.

    Browsers apply the policy to the redirect after a form too. An origin that the policy cannot express is any one.
    """
    origins = [found[0] if (found := _ORIGIN.match(url)) else "https: http:" for url in urls if url is not None]
    return " ".join(["'self'", *origins])


def path_params(scope: Scope) -> dict[str, str]:
    """The variable parts of the path. No store can look for a NUL, so U+FFFD, which no token holds, replaces it."""
    parts: dict[str, str] = scope["path_params"]
    return {name: part.replace("\x00", "\ufffd") for name, part in parts.items()}


def public_page(path: str, show: Show, description: Description) -> PublicRoute:
    """A page that GET and HEAD show."""
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


BUTTON = '<form method="post"><input type="hidden" name="pressed" value="yes"><button>{}</button></form>'
"""The form of the button; `{}` is its escaped text."""


class PressedForm(msgspec.Struct, kw_only=True):
    """What the button sends."""

    pressed: Literal["yes"]


FORM = b"application/x-www-form-urlencoded"
FORM_BODY = {FORM.decode(): PressedForm}
"""For `Description.other_bodies`."""
_FORM_BYTES = 4096
_FORMS_BYTES = 10**6
_SECONDS = 10.0
_CROSS_SITE = (b"cross-site", b"same-site")

Press = Callable[[dict[str, str], str], Awaitable[Response]]
"""From the variable parts of the path and the request's id to the next page."""


def form_page(path: str, show: Show, press: Press, *, shows: Description, presses: Description) -> list[PublicRoute]:
    """A page with one button. GET and HEAD change nothing, because mail scanners and previews follow every link."""
    page = _FormPage(show, press)
    return [PublicRoute(path, page, shows), PublicRoute(path, page, presses, "POST")]


def redirect(url: str) -> Response:
    """A 303 to `url`; characters that no header may hold are escaped."""
    return Response(303, b"", headers=[(b"location", quote(url, safe="%/:?#[]@!$&'()*+,;=~").encode())])


class _FormPage:
    def __init__(self, show: Show, press: Press) -> None:
        self._show = show
        self._press = press
        self._budget = MemoryBudget(_FORMS_BYTES, NullMetrics())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_params(scope)
        match scope["method"]:
            case "GET" | "HEAD":
                reply = await self._show(path)
            case "POST":
                await self._check_pressed(scope, receive)
                reply = await self._press(path, scope["request_id"])
            case other:
                allowed = ["GET", "HEAD", "POST"]
                raise MethodNotAllowed(f"{other} is not possible on {scope['path']}", details={"allowed": allowed})
        await reply.send(send)

    async def _check_pressed(self, scope: Scope, receive: Receive) -> None:
        """Raises Invalid for any request but that of the page's own button."""
        header: dict[bytes, bytes] = scope["header"]
        if header.get(b"content-type", b"").partition(b";")[0].strip().lower() != FORM:
            raise Invalid("this page takes only what its own form sends")
        if header.get(b"sec-fetch-site") in _CROSS_SITE:
            raise Invalid("this form was sent from another site; open the link, and use the button there")
        with self._budget.share() as share:
            body = await read_body(receive, header, scope["reply_headers"], share, limit=_FORM_BYTES, seconds=_SECONDS)
        if parse_qs(body.decode("latin-1")).get("pressed") != ["yes"]:
            raise Invalid("this form is not complete; open the link, and use the button there")


class ReadOnlyPage:
    """A page without variable parts, by GET or HEAD."""

    def __init__(self, answer: Callable[[str], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(
                f"{scope['method']} is not possible on {scope['path']}", details={"allowed": ["GET", "HEAD"]}
            )
        await (await self._answer(scope["request_id"])).send(send)
