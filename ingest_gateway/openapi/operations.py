"""One route as an OpenAPI operation, with its parameters."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from ingest_gateway.http.idempotency import LONGEST_KEY
from ingest_gateway.http.route import Description, PublicRoute, Route
from ingest_gateway.openapi import error_responses
from ingest_gateway.openapi.examples import example_of
from ingest_gateway.openapi.json_schema import schema_of
from ingest_gateway.openapi.names import area, operation_id, resource, singular, variables
from ingest_gateway.openapi.samples import CODES, ID, RECORDS
from schemas.account import Scope
from schemas.field_types import END

Parameter = dict[str, Any]

IDEMPOTENCY_KEY: Parameter = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request repeated under the same key within 24 hours is applied once and answered as before, "
    "with `Idempotent-Replayed: true`. Another request under the same key is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+" + END},
    "example": "7d9f2c1e-5a0b-4f7e-9f3e-2f6f6c1d8a11",
}


def path_parameters(path: str) -> list[Parameter]:
    return [_path_parameter(path, variable) for variable in variables(path)]


def _path_parameter(path: str, variable: str) -> Parameter:
    resource_name = resource(path, variable)
    return {
        "name": variable,
        "in": "path",
        "required": True,
        "description": f"Which {singular(resource_name).replace('-', ' ')}.",
        "schema": {"type": "string", "minLength": 1},
        "example": CODES.get(resource_name, ID),
    }


def query_parameters(description: Description) -> list[Parameter]:
    if description.query_type is None:
        return []
    samples = RECORDS.get(description.query_type.__name__, {})
    return [_query_parameter(field, samples) for field in msgspec.structs.fields(description.query_type)]


def _query_parameter(field: msgspec.structs.FieldInfo, samples: dict[str, Any]) -> Parameter:
    schema = _without_null(schema_of(field.type))
    description = schema.pop("description", None)
    if isinstance(field.default, str | int | bool):
        schema["default"] = field.default
    parameter: Parameter = {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema}
    if description is not None:
        parameter["description"] = description
    if field.encode_name in samples:
        parameter["example"] = samples[field.encode_name]
    return parameter | _style(field.type)


def _style(kind: Any) -> Parameter:
    described = inspect.type_info(kind)
    match described.type if isinstance(described, inspect.Metadata) else described:
        case inspect.DictType():
            return {"style": "deepObject", "explode": True}
        case inspect.ListType() | inspect.VarTupleType():
            return {"style": "form", "explode": True}
        case _:
            return {}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is omitted, never null."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return dict(schema)
    return {**choices[0], **{name: value for name, value in schema.items() if name != "anyOf"}}


JsonObject = dict[str, Any]

JSON, HTML = "application/json", "text/html"
HEADERS: JsonObject = {
    name: {"$ref": f"#/components/headers/{name}"}
    for name in ("X-Request-ID", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
}
_REASONS = {
    200: "Done",
    201: "Created",
    202: "Started; it continues in the background",
    204: "Done; the response has no body",
}
_REDIRECT = {
    "303": {
        "description": "Done; continue at `Location`",
        "headers": HEADERS | {"Location": {"$ref": "#/components/headers/Location"}},
    }
}


def operation(endpoint: Route) -> JsonObject:
    description = endpoint.description
    may_repeat = endpoint.method != "GET" and endpoint.scope is not Scope.INGEST
    parameters = [
        *path_parameters(endpoint.path),
        *query_parameters(description),
        *([IDEMPOTENCY_KEY] if may_repeat else []),
    ]
    described = _head(description, endpoint.method, endpoint.path) | {
        "description": " ".join(filter(None, (description.details, error_responses.scope_of(endpoint.scope)))),
        "security": [{"bearerAuth": [endpoint.scope.value]}],
    }
    if parameters:
        described["parameters"] = parameters
    if description.body_type is not None:
        described["requestBody"] = _body(description)
    answered = {str(description.status): _answer(description, may_repeat=may_repeat)}
    return described | {"responses": answered | error_responses.responses(error_responses.statuses_of(endpoint))}


def public_operation(endpoint: PublicRoute) -> JsonObject:
    description = endpoint.description
    answered = {
        str(description.status): _answer(description, may_repeat=False),
        **(_REDIRECT if description.may_redirect else {}),
    }
    described = _head(description, endpoint.method, endpoint.path) | {
        "description": description.details or "No key is needed.",
        "security": [],
    }
    if parameters := path_parameters(endpoint.path):
        described["parameters"] = parameters
    if description.other_bodies:
        described["requestBody"] = _body(description)
    refused = error_responses.responses(error_responses.statuses_of_public(endpoint))
    if HTML in description.other_responses:
        refused |= {status: _as_html_page(status) for status in refused}
    return described | {"responses": answered | refused}


def types_of(description: Description) -> Iterator[Any]:
    """Every type of the operation, for the components."""
    for kind in (
        description.body_type,
        description.response_type,
        *description.other_bodies.values(),
        *description.other_responses.values(),
        description.query_type,
    ):
        yield from kind if isinstance(kind, tuple) else () if kind is None else (kind,)


def _as_html_page(status: str) -> JsonObject:
    """A page reports errors as a page; errors before its handler are JSON as everywhere."""
    page = {"schema": {"type": "string"}, "examples": {"Page": {"value": "<!doctype html>"}}}
    described = error_responses.response(int(status), HEADERS)
    return described | {"content": {HTML: page, **described["content"]}}


def _head(description: Description, method: str, path: str) -> JsonObject:
    name = description.operation_id or operation_id(method, path)
    return {"operationId": name, "summary": description.summary, "tags": [area(path)]}


def _body(description: Description) -> JsonObject:
    return {
        "required": not description.body_optional,
        "content": _content(description.body_type, description.other_bodies),
    }


def _answer(description: Description, *, may_repeat: bool) -> JsonObject:
    headers = dict(HEADERS)
    if may_repeat:
        headers["Idempotent-Replayed"] = {"$ref": "#/components/headers/Idempotent-Replayed"}
    answered: JsonObject = {"description": _REASONS[description.status], "headers": headers}
    if description.response_type is not None or description.other_responses:
        answered["content"] = _content(description.response_type, description.other_responses)
    return answered


def _content(kind: Any, others: Any) -> JsonObject:
    given = {} if kind is None else {JSON: kind}
    return {media_type: _media(each) for media_type, each in (given | dict(others)).items()}


def _media(kind: Any) -> JsonObject:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if kind is bytes:
        return {}
    examples = {_name(each): {"value": example_of(each)} for each in kinds}
    return {"schema": schema_of(kind), "examples": examples}


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", "several") if isinstance(kind, type) else "several"
