"""The OpenAPI document made from the routes, and the pages /openapi.json and /docs."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from msgspec import Meta

from ingest_gateway.http.envelope import JSON, ErrorResponse, Response
from ingest_gateway.http.pages import HTML, HTML_RESPONSE, ReadOnlyPage, page_headers
from ingest_gateway.http.route import Description, PublicRoute, Route
from ingest_gateway.openapi import error_responses
from ingest_gateway.openapi.docs_page import STYLE, render, render_start_page
from ingest_gateway.openapi.json_schema import components_of
from ingest_gateway.openapi.operations import HEADERS, operation, public_operation, types_of

TITLE = "Tallyhouse"
SERVER = "http://localhost:8787"
VERSION = "1.0.0"

_INTRODUCTION = (
    "Post usage events, query exact usage, and bill it. Every request outside the Service area needs a key: "
    "`Authorization: Bearer ak_live_…`. Live and test data never mix: the key decides which of them a request sees."
)
_WHOLE = {"type": "integer", "minimum": 0}
_HEADERS = {
    "X-Request-ID": (
        "The caller's own id where it is valid, otherwise a new one; also in `request_id`.",
        {"type": "string"},
    ),
    "X-RateLimit-Limit": ("Requests per minute of the account.", _WHOLE),
    "X-RateLimit-Remaining": ("Requests left in this minute.", _WHOLE),
    "X-RateLimit-Reset": ("The second, since 1970, at which the next minute begins.", _WHOLE),
    "Retry-After": ("Seconds to wait.", _WHOLE),
    "Location": ("The address of the result, or of the next page.", {"type": "string"}),
    "Idempotent-Replayed": ("`true` on the response to a repeated request.", {"enum": ["true"]}),
}
_ALWAYS_PRESENT = frozenset(HEADERS) | {"Location"}
"""Headers present on every response that names them."""


def describe(table: Sequence[Route], pages: Sequence[PublicRoute]) -> dict[str, Any]:
    """The OpenAPI document as JSON."""
    paths: dict[str, Any] = {}
    for endpoint in table:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation(endpoint)
    for page in pages:
        paths.setdefault(page.path, {})[page.method.lower()] = public_operation(page)
    descriptions = [*(endpoint.description for endpoint in table), *(page.description for page in pages)]
    kinds = [ErrorResponse, *(kind for description in descriptions for kind in types_of(description))]
    tags = dict.fromkeys(tag for path in paths.values() for each in path.values() for tag in each["tags"])
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": _INTRODUCTION},
        "servers": [{"url": SERVER}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": components_of(kinds),
            "responses": error_responses.components(HEADERS),
            "headers": {name: _header(name) for name in _HEADERS},
            "securitySchemes": {
                "bearerAuth": {"type": "http", "scheme": "bearer", "description": "An API key, ak_live_… or ak_test_…"}
            },
        },
    }


def _header(name: str) -> dict[str, Any]:
    description, schema = _HEADERS[name]
    return {"description": description, "required": name in _ALWAYS_PRESENT, "schema": schema}


OpenApiDocument = Annotated[dict[str, Any], Meta(examples=[{"openapi": "3.1.0"}])]


_CACHED = (b"cache-control", b"public, max-age=60")
"""The same for everyone, until the next release."""


def reference_routes(table: Sequence[Route], pages: Sequence[PublicRoute]) -> list[PublicRoute]:
    """The start page, the document and the reference, which describe the table, the pages and themselves.

    They are made at the first request for one of them, in a thread: a start does not wait for them, nor do posts.
    """
    responses: dict[str, Response] = {}
    making = asyncio.Lock()

    def page(text: str) -> Response:
        return Response(200, text.encode(), HTML, [*page_headers(STYLE), _CACHED])

    def make() -> None:
        described = describe(table, [*pages, *own])
        responses["/openapi.json"] = Response(200, orjson.dumps(described), JSON, [_CACHED])
        responses["/docs"] = page(render(described))
        responses["/"] = page(render_start_page(TITLE))

    def route(path: str, description: Description) -> PublicRoute:
        async def show(_request_id: str) -> Response:
            async with making:
                if path not in responses:
                    await asyncio.to_thread(make)
            return responses[path]

        return PublicRoute(path, ReadOnlyPage(show), description)

    start = Description("Open the start page", operation_id="get_start_page", other_responses=HTML_RESPONSE)
    for_machines = Description("Get this document", response_type=OpenApiDocument, operation_id="get_openapi")
    for_people = Description("Read the API reference", operation_id="get_docs", other_responses=HTML_RESPONSE)
    own = [route("/openapi.json", for_machines), route("/docs", for_people), route("/", start)]
    return own
