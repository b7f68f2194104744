"""Good answers hold every field that their record has, and none that it has not."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from ingest_gateway.http.route import Route
from tests.ingest_gateway.fakes import make_reject, stored_event
from tests.ingest_gateway.openapi.conftest import Document
from tests.ingest_gateway.openapi.furnished_account import Things, example_body, furnish, prepare
from tests.ingest_gateway.openapi.test_document import guarded
from tests.rating.api.billing_api import BillingApi

pytestmark = pytest.mark.anyio


REFUSED = {
    ("DELETE", "/v1/meters/{code}"),
    ("DELETE", "/v1/customers/{id}"),
    ("POST", "/v1/subscriptions/{id}/change-plan"),
    ("POST", "/api/v1/events"),
}
"""What is in use stays, a canceled subscription changes no more, and a CloudEvent is answered with nothing."""


async def test_answers_are_their_records(billing_api: BillingApi, document: Document) -> None:
    """Field by field, of all that can be asked in an account with something of everything."""
    things = await furnish(billing_api, document)
    billing_api.reader.stored.append(stored_event(billing_api.key.account))
    billing_api.reader.stored_rejects.append(make_reject(billing_api.key.account, 1))
    left = set()
    for endpoint in _in_order(guarded(billing_api)):
        at = endpoint.method, endpoint.path
        await prepare(billing_api, things, document, endpoint.path)
        reply = await _ask(billing_api, things, document, endpoint)
        if reply is None and endpoint.method == "POST":
            reply = things.answers.get(endpoint.path)
        if reply is None:
            left.add(at)
        else:
            _compare(endpoint, reply)
    assert left == REFUSED


def _in_order(endpoints: Iterable[Route]) -> list[Route]:
    """What ends things comes last, and the parts of a thing before it."""
    table = list(endpoints)
    ends = [each for each in table if each.method == "DELETE"]
    return [*(each for each in table if each not in ends), *reversed(ends)]


async def _ask(billing_api: BillingApi, things: Things, document: Document, endpoint: Route) -> Any:
    operation = document["paths"][endpoint.path][endpoint.method.lower()]
    query = {
        each["name"]: each["example"]
        for each in operation.get("parameters", [])
        if each["in"] == "query" and "example" in each
    }
    body = things.body(example_body(operation)) if endpoint.method != "GET" else None
    reply = await billing_api.client.request(
        endpoint.method, things.filled(endpoint.path) or "", params=query, json=body
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
