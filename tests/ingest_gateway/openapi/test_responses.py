"""Successful responses hold exactly the fields of their record."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from ingest_gateway.http.route import Route
from tests.ingest_gateway.fakes import make_reject, stored_event
from tests.ingest_gateway.openapi.account_resources import AccountResources, create_resources, example_body, prepare
from tests.ingest_gateway.openapi.conftest import Document
from tests.ingest_gateway.openapi.test_document import guarded
from tests.rating.api.billing_api import BillingApi

pytestmark = pytest.mark.anyio


REFUSED = {
    ("DELETE", "/v1/meters/{code}"),
    ("DELETE", "/v1/customers/{id}"),
    ("POST", "/v1/subscriptions/{id}/change-plan"),
    ("POST", "/api/v1/events"),
}
"""A resource in use, a canceled subscription, and a CloudEvent, whose response has no body."""


async def test_responses_are_their_records(billing_api: BillingApi, document: Document) -> None:
    """Field by field, for every operation, in an account with one of each resource."""
    resources = await create_resources(billing_api, document)
    billing_api.reader.stored.append(stored_event(billing_api.key.account))
    billing_api.reader.stored_rejects.append(make_reject(billing_api.key.account, 1))
    left = set()
    for endpoint in _in_order(guarded(billing_api)):
        at = endpoint.method, endpoint.path
        await prepare(billing_api, resources, document, endpoint.path)
        reply = await _send(billing_api, resources, document, endpoint)
        if reply is None and endpoint.method == "POST":
            reply = resources.answers.get(endpoint.path)
        if reply is None:
            left.add(at)
        else:
            _compare(endpoint, reply)
    assert left == REFUSED


def _in_order(endpoints: Iterable[Route]) -> list[Route]:
    """Deletions last, and parts of a resource before it."""
    table = list(endpoints)
    ends = [each for each in table if each.method == "DELETE"]
    return [*(each for each in table if each not in ends), *reversed(ends)]


async def _send(billing_api: BillingApi, resources: AccountResources, document: Document, endpoint: Route) -> Any:
    operation = document["paths"][endpoint.path][endpoint.method.lower()]
    query = {
        each["name"]: each["example"]
        for each in operation.get("parameters", [])
        if each["in"] == "query" and "example" in each
    }
    body = resources.body(example_body(operation)) if endpoint.method != "GET" else None
    reply = await billing_api.client.request(
        endpoint.method, resources.filled(endpoint.path) or "", params=query, json=body
    )
    return reply.json() if reply.is_success and reply.content else None


def _compare(endpoint: Route, reply: Any) -> None:
    response_type = endpoint.description.response_type
    for kind in response_type if isinstance(response_type, tuple) else (response_type,):
        if set(reply) == {field.encode_name for field in msgspec.structs.fields(kind)}:
            # Through text, so that decimals and times look as they are sent.
            again = msgspec.json.decode(msgspec.json.encode(msgspec.convert(reply, kind)))
            assert again == reply, endpoint
            return
    pytest.fail(f"{endpoint.method} {endpoint.path} answers {sorted(reply)}, which is none of {response_type}")
