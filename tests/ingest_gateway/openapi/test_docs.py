"""The page to be read: whole without any other page, and its commands work as they are printed."""

import html
import re
import shlex
from collections.abc import Iterator

import httpx
import pytest

from tests.ingest_gateway.billing.conftest import Office
from tests.ingest_gateway.openapi.conftest import Document
from tests.ingest_gateway.openapi.test_document import operations_of
from tests.ingest_gateway.openapi.victim import furnish

pytestmark = pytest.mark.anyio

_COMMAND = re.compile("<pre><code>(curl .*?)</code></pre>", re.DOTALL)


@pytest.fixture
async def page(office: Office) -> str:
    reply = await office.client.get("/docs", headers={"authorization": ""})
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    return reply.text


async def test_nothing_is_fetched_from_elsewhere(page: str) -> None:
    """No script, no image, no font, no style sheet: it can be read on an island."""
    assert not re.search(r"<script|<img|<link|@import|url\(|src=", page)
    assert "prefers-color-scheme: dark" in page


async def test_every_operation_and_record_is_on_it(page: str, document: Document) -> None:
    """Under a name that links lead to, and no link leads nowhere."""
    names = set(re.findall(' id="([^"]+)"', page))
    assert names >= {operation["operationId"] for _, _, operation in operations_of(document)}
    assert names >= set(document["components"]["schemas"])
    assert set(re.findall('href="#([^"]+)"', page)) <= names


async def test_the_commands_work_as_printed(office: Office, page: str, document: Document) -> None:
    """In an account that has something of everything, none of them is misunderstood."""
    things = await furnish(office, document)
    shell = {"TALLYHOUSE_API_KEY": office.client.headers["authorization"].removeprefix("Bearer ")}
    shell |= things.variables(document["paths"])
    commands = [html.unescape(text) for text in _COMMAND.findall(page)]
    assert len(commands) == len(list(operations_of(document)))
    for command in commands:
        request = _request(command, shell)
        reply = await office.client.send(request)
        assert reply.status_code in (200, 201, 204, 404, 409), (command, reply.text)


def _request(command: str, shell: dict[str, str]) -> httpx.Request:
    """What curl would send."""
    words = iter(shlex.split(re.sub(r"\$([A-Z_]+)", lambda found: shell[found[1]], _safe(command))))
    assert next(words) == "curl"
    url = next(words)
    assert url.startswith("http://localhost:8787/")
    method, headers, body = "GET", {}, None
    for option, value in _pairs(words):
        match option:
            case "-X":
                method = value
            case "-H":
                name, _, content = value.partition(": ")
                headers[name] = content
            case "-d":
                body, method = value, method if method != "GET" else "POST"
            case _:
                raise AssertionError(option)
    return httpx.Request(method, url, headers=headers, content=None if body is None else body.encode())


def _safe(command: str) -> str:
    """Within single quotes the shell leaves a dollar alone; none of ours is followed by capitals there."""
    assert not re.search(r"'[^']*\$[A-Z][^']*'", command.rsplit(" -d ", maxsplit=1)[-1] if " -d " in command else "")
    return command.replace("\\\n", " ")


def _pairs(words: Iterator[str]) -> Iterator[tuple[str, str]]:
    for option in words:
        yield option, next(words)
