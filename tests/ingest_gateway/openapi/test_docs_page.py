"""The reference page: self-contained, with commands that work as printed."""

import base64
import hashlib
import html
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.ingest_gateway.openapi.account_resources import create_resources
from tests.ingest_gateway.openapi.conftest import Document
from tests.ingest_gateway.openapi.test_document import operations_of
from tests.rating.api.billing_api import BillingApi

pytestmark = pytest.mark.anyio

_COMMAND = re.compile("<pre><code>(curl .*?)</code></pre>", re.DOTALL)


@pytest.fixture
async def page(billing_api: BillingApi) -> str:
    reply = await billing_api.client.get("/docs", headers={"authorization": ""})
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    return reply.text


async def test_nothing_is_fetched_from_elsewhere(page: str) -> None:
    """No script, image, font or style sheet: the page works offline."""
    assert not re.search(r"<script|<img|<link|@import|url\(|src=", page)
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize("path", ["/docs", "/"])
async def test_the_policy_permits_the_style_sheet_of_the_page_alone(billing_api: BillingApi, path: str) -> None:
    reply = await billing_api.client.get(path, headers={"authorization": ""})
    (style,) = re.findall("<style>(.*?)</style>", reply.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = reply.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert " style=" not in reply.text
    assert reply.headers["cache-control"] == "public, max-age=60"


async def test_every_operation_and_record_is_on_it(page: str, document: Document) -> None:
    """Each has an anchor, and every link leads to one."""
    names = set(re.findall(' id="([^"]+)"', page))
    assert names >= {operation["operationId"] for _, _, operation in operations_of(document)}
    assert names >= set(document["components"]["schemas"])
    assert set(re.findall('href="#([^"]+)"', page)) <= names


async def test_the_commands_work_as_printed(billing_api: BillingApi, page: str, document: Document) -> None:
    """In an account with one of each resource, none of them is malformed."""
    resources = await create_resources(billing_api, document)
    shell = {"TALLYHOUSE_API_KEY": billing_api.client.headers["authorization"].removeprefix("Bearer ")}
    shell |= resources.variables(document["paths"])
    requests = [_request(words) for words in _words_of(_commands(page), shell)]
    assert len(requests) == len(list(operations_of(document)))
    for request in requests:
        reply = await billing_api.client.send(request)
        assert reply.status_code in (200, 201, 202, 204, 404, 409, 410), (request, reply.text)


async def test_printed_events_have_the_current_time(page: str) -> None:
    """Events of a fixed time would be refused as too old some day."""
    commands = [command for command in _commands(page) if "/v1/events" in command and " -d " in command]
    bodies = [_request(words).content.decode() for words in _words_of(commands, {"TALLYHOUSE_API_KEY": "none"})]
    times = [time for body in bodies for time in re.findall('"(?:time|timestamp)": "(.*)"', body)]
    assert len(times) == len(bodies) == 2
    for time in times:
        assert abs(datetime.fromisoformat(time) - datetime.now(UTC)) < timedelta(minutes=1)


def _commands(page: str) -> list[str]:
    return [html.unescape(text) for text in _COMMAND.findall(page)]


def _words_of(commands: list[str], variables: dict[str, str]) -> list[list[str]]:
    """The words that a shell passes to curl, command by command."""
    curl = """curl() { printf '%s\\0' "$@" $'\\n'; }"""
    done = subprocess.run(  # our own page's commands, to a curl that is none
        ["/bin/bash", "-euc", "\n".join([curl, *commands])],
        env={"PATH": os.environ["PATH"]} | variables,
        capture_output=True,
        check=True,
        text=True,
    )
    return [words.split("\0")[:-1] for words in done.stdout.split("\n\0")[:-1]]


def _request(words: list[str]) -> httpx.Request:
    """The request that curl would send."""
    url, *options = words
    assert url.startswith("http://localhost:8787/")
    method, headers, body = "GET", {}, None
    for option, value in zip(options[::2], options[1::2], strict=True):
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
