"""The document describes every route and no other, and its examples are valid."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from starlette.routing import Router

from ingest_gateway.http.auth import AuthorizedRoute
from ingest_gateway.http.middleware import RequestMiddleware
from ingest_gateway.http.route import MethodRouter, Route
from tests.ingest_gateway.openapi.conftest import Document
from tests.rating.api.billing_api import BillingApi

pytestmark = pytest.mark.anyio


def operations_of(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def guarded(billing_api: BillingApi) -> Iterator[Route]:
    """The app's routes that need a key."""
    assert isinstance(billing_api.app, RequestMiddleware)
    assert isinstance(billing_api.app._app, Router)
    for route in billing_api.app._app.routes:
        methods = route.app  # type: ignore[attr-defined]  # all of ours are routes to an app
        if isinstance(methods, MethodRouter):
            for authorized in methods._by_method.values():
                assert isinstance(authorized, AuthorizedRoute)
                yield authorized._route


async def test_every_route_is_described_and_no_other(billing_api: BillingApi, document: Document) -> None:
    """Method by method, public pages too."""
    assert isinstance(billing_api.app, RequestMiddleware)
    assert isinstance(billing_api.app._app, Router)
    keyed = {(endpoint.method, endpoint.path) for endpoint in guarded(billing_api)}
    paths = {route.path for route in billing_api.app._app.routes}  # type: ignore[attr-defined]  # all of ours have one
    described = list(operations_of(document))
    assert {(method, path) for method, path, operation in described if operation["security"]} == keyed
    assert {path for _, path, operation in described if not operation["security"]} == paths - {
        path for _, path in keyed
    }


async def test_every_route_describes_its_records(billing_api: BillingApi, document: Document) -> None:
    """Each route has a summary and a response; a POST or PATCH describes its body."""
    for endpoint in guarded(billing_api):
        description = endpoint.description
        assert description.summary, endpoint
        assert description.response_type is not None or description.status == 204, endpoint
        bodiless = endpoint.method in ("GET", "DELETE") or endpoint.path.rpartition("/")[2] in BODILESS
        assert bodiless or description.body_type is not None, endpoint


BODILESS = ("revoke", "finalize", "void", "mark-uncollectible", "publish", "portal-link", "portal-links")
"""Actions without a body."""


async def test_operation_ids_are_unique(document: Document) -> None:
    """Client generators make function names of them."""
    names = [operation["operationId"] for _, _, operation in operations_of(document)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in names)


async def test_every_reference_exists(document: Document) -> None:
    """A record's name is a plain word."""
    for reference in _references(document):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    assert all(re.fullmatch("[A-Za-z]+", name) for name in document["components"]["schemas"])


async def test_every_example_is_valid(document: Document) -> None:
    """Parameters, bodies and responses have examples, valid against their schemas."""
    tried = 0
    for where, schema, examples in _exemplified(document):
        assert examples, where
        for example in examples:
            errors = [str(error) for error in _validator(document, schema).iter_errors(example)]
            assert errors == [], (where, example)
            tried += 1
    assert tried > 60


async def test_every_change_may_be_repeated(document: Document) -> None:
    """Every change but posts of events, which have keys of their own, documents an Idempotency-Key."""
    for method, path, operation in operations_of(document):
        named = {each["name"] for each in operation.get("parameters", [])}
        expected = method != "GET" and operation["security"] not in ([], [{"bearerAuth": ["ingest"]}])
        assert ("Idempotency-Key" in named) == expected, (method, path)


async def test_what_any_request_may_meet_is_described(document: Document) -> None:
    """The limits of the edge hold for every operation, and reads of much usage have one of their own."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["responses"].keys() >= {"400", "408", "414", "431", "503"}, (method, path)
    for path in ("/v1/usage", "/v1/subscriptions/{id}/upcoming-invoice", "/v1/invoices/{id}/audit"):
        assert "422" in document["paths"][path]["get"]["responses"], path


async def test_the_document_is_built_once(billing_api: BillingApi) -> None:
    """Every response has the same bytes."""
    for path in ("/openapi.json", "/docs"):
        first, second = [await billing_api.client.get(path, headers={"authorization": ""}) for _ in range(2)]
        assert first.status_code == 200
        assert first.content == second.content


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _exemplified(document: Document) -> Iterator[tuple[str, Any, list[Any]]]:
    for _, path, operation in operations_of(document):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for described in (*bodies, *operation["responses"].values()):
            for media_type, media in described.get("content", {}).items():
                if media:  # binary types have no example
                    examples = [example["value"] for example in media["examples"].values()]
                    yield f"{path} {media_type}", media["schema"], examples
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                yield f"{path} {parameter['name']}", parameter["schema"], [parameter["example"]]
    for name, described in document["components"]["responses"].items():
        media = described["content"]["application/json"]
        yield name, media["schema"], [example["value"] for example in media["examples"].values()]


def _validator(document: Document, schema: Any) -> Any:
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": document["components"]}
    return jsonschema_rs.validator_for(whole | {"allOf": [schema]})
