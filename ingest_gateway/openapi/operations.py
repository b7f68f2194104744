"""One endpoint as an OpenAPI operation."""

from collections.abc import Iterator
from typing import Any

from ingest_gateway.http.request import About, Endpoint, OpenEndpoint
from ingest_gateway.openapi import error_responses
from ingest_gateway.openapi.examples import example_of
from ingest_gateway.openapi.json_schema import schema_of
from ingest_gateway.openapi.names import area, operation_id
from ingest_gateway.openapi.parameters import IDEMPOTENCY_KEY, path_parameters, query_parameters
from schemas.account import Scope

Described = dict[str, Any]

JSON, HTML = "application/json", "text/html"
HEADERS: Described = {
    name: {"$ref": f"#/components/headers/{name}"}
    for name in ("X-Request-ID", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
}
_REASONS = {200: "Done", 201: "Made", 202: "Begun; it goes on by itself", 204: "Done; there is nothing to tell"}
_LED_ON = {
    "303": {
        "description": "Done; what follows is there",
        "headers": HEADERS | {"Location": {"$ref": "#/components/headers/Location"}},
    }
}


def operation(endpoint: Endpoint) -> Described:
    about = endpoint.about
    may_repeat = endpoint.method != "GET" and endpoint.scope is not Scope.INGEST
    parameters = [
        *path_parameters(endpoint.path),
        *query_parameters(about),
        *([IDEMPOTENCY_KEY] if may_repeat else []),
    ]
    described = _head(about, endpoint.method, endpoint.path) | {
        "description": " ".join(filter(None, (about.more, error_responses.scope_of(endpoint.scope)))),
        "security": [{"bearerAuth": [endpoint.scope.value]}],
    }
    if parameters:
        described["parameters"] = parameters
    if about.takes is not None:
        described["requestBody"] = _body(about)
    answered = {str(about.status): _answer(about, may_repeat=may_repeat)}
    return described | {"responses": answered | error_responses.responses(error_responses.statuses_of(endpoint))}


def open_operation(endpoint: OpenEndpoint) -> Described:
    about = endpoint.about
    answered = {str(about.status): _answer(about, may_repeat=False), **(_LED_ON if about.may_lead_on else {})}
    described = _head(about, endpoint.method, endpoint.path) | {
        "description": about.more or "No key is needed.",
        "security": [],
    }
    if parameters := path_parameters(endpoint.path):
        described["parameters"] = parameters
    if about.also_takes:
        described["requestBody"] = _body(about)
    refused = error_responses.responses(error_responses.statuses_of_open(endpoint))
    if HTML in about.also_gives:
        refused |= {status: _told_as_page(status) for status in refused}
    return described | {"responses": answered | refused}


def kinds_of(about: About) -> Iterator[Any]:
    """Every type that the operation speaks of."""
    for kind in (about.takes, about.gives, *about.also_takes.values(), *about.also_gives.values(), about.asks):
        yield from kind if isinstance(kind, tuple) else () if kind is None else (kind,)


def _told_as_page(status: str) -> Described:
    """Who reads a page is told on a page; what fails before it comes to that is told as everywhere."""
    page = {"schema": {"type": "string"}, "examples": {"Page": {"value": "<!doctype html>"}}}
    told = error_responses.response(int(status), HEADERS)
    return told | {"content": {HTML: page, **told["content"]}}


def _head(about: About, method: str, path: str) -> Described:
    name = about.operation or operation_id(method, path)
    return {"operationId": name, "summary": about.summary, "tags": [area(path)]}


def _body(about: About) -> Described:
    return {"required": not about.may_be_bodiless, "content": _content(about.takes, about.also_takes)}


def _answer(about: About, *, may_repeat: bool) -> Described:
    headers = dict(HEADERS)
    if may_repeat:
        headers["Idempotent-Replayed"] = {"$ref": "#/components/headers/Idempotent-Replayed"}
    answered: Described = {"description": _REASONS[about.status], "headers": headers}
    if about.gives is not None or about.also_gives:
        answered["content"] = _content(about.gives, about.also_gives)
    return answered


def _content(kind: Any, others: Any) -> Described:
    given = {} if kind is None else {JSON: kind}
    return {media_type: _media(each) for media_type, each in (given | dict(others)).items()}


def _media(kind: Any) -> Described:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if kind is bytes:
        return {}
    examples = {_name(each): {"value": example_of(each)} for each in kinds}
    return {"schema": schema_of(kind), "examples": examples}


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", "several") if isinstance(kind, type) else "several"
