"""The app as a whole: its routes, and its start page."""

import re

import pytest

from ingest_gateway.api.routes_meters import ALL
from ingest_gateway.http.envelope import Response
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from schemas.account import Scope
from tests.ingest_gateway.conftest import InMemoryApp

pytestmark = pytest.mark.anyio


async def test_a_later_route_of_an_earlier_path_is_reached(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Routes of one path share it, wherever in the table they are."""

    async def replace_all(request: Request) -> Response:
        return request.success(replaced=True)

    late = Route("PUT", ALL, Scope.ADMIN, replace_all)
    async with in_memory_app.serve(ports={"billing_routes": [late]}) as client:
        assert (await client.put(ALL, headers=auth)).json()["replaced"] is True
        assert (await client.get(ALL, headers=auth)).status_code == 200
        assert (await client.delete(ALL, headers=auth)).headers["allow"] == "GET, POST, PUT"


async def test_the_start_page_needs_no_key(in_memory_app: InMemoryApp) -> None:
    """One HTML page names the product; HEAD is answered too, and other methods are not."""
    reply = await in_memory_app.client.get("/")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>Tallyhouse</h1>" in reply.text
    assert (await in_memory_app.client.head("/")).status_code == 200
    assert (await in_memory_app.client.post("/")).headers["allow"] == "GET, HEAD"


async def test_every_link_of_the_start_page_works(in_memory_app: InMemoryApp) -> None:
    """The links lead to the reference, its JSON, and the state of the service."""
    links = re.findall('href="([^"]+)"', (await in_memory_app.client.get("/")).text)
    assert links == ["/docs", "/openapi.json", "/healthz", "/readyz"]
    for link in links:
        assert (await in_memory_app.client.get(link)).status_code == 200


async def test_the_start_page_fetches_nothing(in_memory_app: InMemoryApp) -> None:
    """No script, image, font or style sheet; the style is that of `/docs`."""
    page, docs = [(await in_memory_app.client.get(path)).text for path in ("/", "/docs")]
    assert not re.search(r"<script|<img|<link|@import|url\(|src=", page)
    assert re.findall("<style>.*?</style>", page, re.DOTALL) == re.findall("<style>.*?</style>", docs, re.DOTALL)
