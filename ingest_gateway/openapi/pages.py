"""`/openapi.json` and `/docs`: built once, when the app is."""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from msgspec import Meta

from ingest_gateway.api.health import ReadOnlyPage
from ingest_gateway.http.envelope import JSON, Response
from ingest_gateway.http.public_page import HTML, HTML_RESPONSE
from ingest_gateway.http.request import Description, PublicRoute, Route
from ingest_gateway.openapi.docs_page import render
from ingest_gateway.openapi.document import describe

OpenApiDocument = Annotated[dict[str, Any], Meta(examples=[{"openapi": "3.1.0"}])]


def reference_routes(table: Sequence[Route], pages: Sequence[PublicRoute]) -> list[PublicRoute]:
    """Both describe everything in the table, the pages, and themselves."""
    ready: dict[str, Response] = {}

    async def document(_request_id: str) -> Response:
        return ready["/openapi.json"]

    async def docs(_request_id: str) -> Response:
        return ready["/docs"]

    for_machines = Description("This description", response_type=OpenApiDocument, operation="get_openapi")
    for_people = Description("The reference, to be read", operation="get_docs", other_responses=HTML_RESPONSE)
    own = [
        PublicRoute("/openapi.json", ReadOnlyPage(document), for_machines),
        PublicRoute("/docs", ReadOnlyPage(docs), for_people),
    ]
    described = describe(table, [*pages, *own])
    ready["/openapi.json"] = Response(200, orjson.dumps(described), JSON)
    ready["/docs"] = Response(200, render(described).encode(), HTML)
    return own
