"""`/openapi.json` and `/docs`: built once, when the app is."""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from msgspec import Meta

from ingest_gateway.api.health import Page
from ingest_gateway.http.envelope import JSON, Reply
from ingest_gateway.http.public_page import GIVES_HTML, HTML
from ingest_gateway.http.request import About, Endpoint, OpenEndpoint
from ingest_gateway.openapi.docs_page import render
from ingest_gateway.openapi.document import describe

Description = Annotated[dict[str, Any], Meta(examples=[{"openapi": "3.1.0"}])]


def reference(table: Sequence[Endpoint], pages: Sequence[OpenEndpoint]) -> list[OpenEndpoint]:
    """Both describe everything in the table, the pages, and themselves."""
    ready: dict[str, Reply] = {}

    async def document(_request_id: str) -> Reply:
        return ready["/openapi.json"]

    async def docs(_request_id: str) -> Reply:
        return ready["/docs"]

    for_machines = About("This description", gives=Description, operation="get_openapi")
    for_people = About("The reference, to be read", operation="get_docs", also_gives=GIVES_HTML)
    own = [OpenEndpoint("/openapi.json", Page(document), for_machines), OpenEndpoint("/docs", Page(docs), for_people)]
    described = describe(table, [*pages, *own])
    ready["/openapi.json"] = Reply(200, orjson.dumps(described), JSON)
    ready["/docs"] = Reply(200, render(described).encode(), HTML)
    return own
