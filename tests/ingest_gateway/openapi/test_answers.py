"""Good answers hold every field that their record has, and none that it has not."""

from typing import Any

import msgspec
import pytest

from ingest_gateway.api.endpoint import Endpoint
from tests.ingest_gateway.billing.conftest import Office
from tests.ingest_gateway.http.fakes import kept_reject, stored_event
from tests.ingest_gateway.openapi.conftest import Document
from tests.ingest_gateway.openapi.test_document import guarded
from tests.ingest_gateway.openapi.victim import Things, example_body, furnish

pytestmark = pytest.mark.anyio


async def test_answers_are_their_records(office: Office, document: Document) -> None:
    """Field by field, of all that can be asked in an account with something of everything."""
    things = await furnish(office, document)
    office.reader.stored.append(stored_event(office.key.account))
    office.reader.kept.append(kept_reject(office.key.account, 1))
    tried = 0
    for endpoint in sorted(guarded(office), key=lambda endpoint: endpoint.method in ("DELETE", "POST")):
        reply = await _ask(office, things, document, endpoint)
        if reply is not None:
            _compare(endpoint, reply)
            tried += 1
    assert tried > 15


async def _ask(office: Office, things: Things, document: Document, endpoint: Endpoint) -> Any:
    operation = document["paths"][endpoint.path][endpoint.method.lower()]
    query = {
        each["name"]: each["example"]
        for each in operation.get("parameters", [])
        if each["in"] == "query" and "example" in each
    }
    body = things.body(example_body(operation)) if endpoint.method != "GET" else None
    reply = await office.client.request(endpoint.method, things.filled(endpoint.path) or "", params=query, json=body)
    return reply.json() if reply.is_success and reply.content else None


def _compare(endpoint: Endpoint, reply: Any) -> None:
    gives = endpoint.about.gives
    for kind in gives if isinstance(gives, tuple) else (gives,):
        if set(reply) == {field.encode_name for field in msgspec.structs.fields(kind)}:
            # Through text, so that decimals and times look as they are sent.
            again = msgspec.json.decode(msgspec.json.encode(msgspec.convert(reply, kind)))
            assert again == reply, endpoint
            return
    pytest.fail(f"{endpoint.method} {endpoint.path} answers {sorted(reply)}, which is none of {gives}")
