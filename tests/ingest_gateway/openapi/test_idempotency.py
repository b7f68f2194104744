"""Every change can be repeated under its key; generated from the API's document."""

import re
from itertools import count
from typing import Any

import httpx
import pytest

from tests.ingest_gateway.fakes import make_reject
from tests.ingest_gateway.openapi.account_resources import AccountResources, create_resources, example_body, prepare
from tests.ingest_gateway.openapi.conftest import Document
from tests.ingest_gateway.openapi.test_document import operations_of
from tests.rating.api.billing_api import BillingApi

pytestmark = pytest.mark.anyio

REFUSED = {
    ("DELETE", "/v1/meters/{code}"),
    ("DELETE", "/v1/customers/{id}"),
    ("POST", "/v1/subscriptions/{id}/change-plan"),
}
"""A resource in use cannot be deleted, nor a canceled subscription changed; another test covers one change of plan."""

SHOWN_ONCE = {"/v1/keys", "/v1/subscription-signup-links"}
"""Their responses have a secret, which is stored nowhere."""


class RepeatingTransport(httpx.AsyncBaseTransport):
    """Sends every change twice under one key, and compares the two responses."""

    def __init__(self, app: Any, document: Document) -> None:
        self._inner = httpx.ASGITransport(app)
        self._keys = map("key-{}".format, count())
        changes = [(method, path) for method, path, each in operations_of(document) if _may_repeat(each)]
        self._paths = {(method, path): re.compile(re.sub(r"\{\w+}", "[^/]+", path)) for method, path in changes}
        self.done: set[tuple[str, str]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        change = self._change(request)
        if change is None:
            return await self._inner.handle_async_request(request)
        key = next(self._keys)
        first = await self._send(request, key)
        if first.is_success:
            self.done.add(change)
            _check_again(change, first, await self._send(request, key))
            other = httpx.Request("POST", "http://tallyhouse/v1/customers", headers=request.headers, json={"name": "?"})
            refused = await self._send(other, key)
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED"), change
        return first

    def _change(self, request: httpx.Request) -> tuple[str, str] | None:
        at = (change for change, path in self._paths.items() if path.fullmatch(request.url.path))
        return next((change for change in at if change[0] == request.method), None)

    async def _send(self, request: httpx.Request, key: str) -> httpx.Response:
        headers = {**request.headers, "idempotency-key": key}
        repeated = httpx.Request(request.method, request.url, headers=headers, content=request.content)
        reply = await self._inner.handle_async_request(repeated)
        await reply.aread()
        return reply


def _may_repeat(operation: dict[str, Any]) -> bool:
    return any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", []))


def _check_again(change: tuple[str, str], first: httpx.Response, again: httpx.Response) -> None:
    if change[0] == "POST" and change[1] in SHOWN_ONCE:
        assert (again.status_code, again.json()["error"]["code"]) == (409, "SECRET_SHOWN_ONCE"), change
        return
    assert again.status_code == first.status_code, (change, again.text)
    assert again.headers.get("idempotent-replayed") == "true", change
    assert again.headers.get("location") == first.headers.get("location"), change
    assert _lasting(again) == _lasting(first), change


def _lasting(reply: httpx.Response) -> Any:
    return {name: value for name, value in reply.json().items() if name != "request_id"} if reply.content else None


async def test_every_change_applies_once_under_its_key(billing_api: BillingApi, document: Document) -> None:
    """The second response equals the first, and any other request under the key is refused."""
    transport = RepeatingTransport(billing_api.app, document)
    headers = billing_api.client.headers
    billing_api.client = httpx.AsyncClient(transport=transport, base_url="http://tallyhouse", headers=headers)
    resources = await create_resources(billing_api, document)
    billing_api.reader.stored_rejects.append(make_reject(billing_api.key.account, 1))
    table = list(operations_of(document))
    for method, path, operation in sorted(table, key=lambda each: each[0] == "DELETE"):
        if _may_repeat(operation) and (method, path) not in transport.done:
            await prepare(billing_api, resources, document, path)
            await _send(billing_api, resources, method, path, operation)
    assert {(method, path) for method, path, each in table if _may_repeat(each)} - transport.done == REFUSED


async def _send(
    billing_api: BillingApi, resources: AccountResources, method: str, path: str, operation: dict[str, Any]
) -> None:
    body = resources.body(example_body(operation))
    await billing_api.client.request(method, resources.filled(path) or "", json=body)
