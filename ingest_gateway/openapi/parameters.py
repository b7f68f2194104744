"""What an operation is asked with besides its body: parts of the path, the query string, a header."""

from typing import Any

import msgspec
from msgspec import inspect

from ingest_gateway.http.idempotency import LONGEST_KEY
from ingest_gateway.http.request import Description
from ingest_gateway.openapi.json_schema import schema_of
from ingest_gateway.openapi.names import resource, singular, variables
from ingest_gateway.openapi.samples import CODES, ID, RECORDS
from schemas.field_types import END

Parameter = dict[str, Any]

IDEMPOTENCY_KEY: Parameter = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request that is repeated under the same key within 24 hours is done once and answered as before, "
    "with `Idempotent-Replayed: true`. Another request under the same key is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+" + END},
    "example": "7d9f2c1e-5a0b-4f7e-9f3e-2f6f6c1d8a11",
}


def path_parameters(path: str) -> list[Parameter]:
    return [_path_parameter(path, variable) for variable in variables(path)]


def _path_parameter(path: str, variable: str) -> Parameter:
    things = resource(path, variable)
    return {
        "name": variable,
        "in": "path",
        "required": True,
        "description": f"Which {singular(things).replace('-', ' ')}.",
        "schema": {"type": "string", "minLength": 1},
        "example": CODES.get(things, ID),
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
    """A parameter that is not there is left out."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return dict(schema)
    return {**choices[0], **{name: value for name, value in schema.items() if name != "anyOf"}}
