"""JSON Schemas in words: what the fields of a record are, and how a type reads."""

from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

Schema = dict[str, Any]

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "up to {} characters",
    "minimum": "from {}",
    "maximum": "to {}",
    "minItems": "at least {}",
    "maxItems": "up to {}",
    "maxProperties": "up to {}",
    "default": "else {}",
}


class Field(NamedTuple):
    """One row of a record."""

    name: str
    shown: str
    required: bool
    description: str


def fields_of(schema: Schema) -> Iterator[Field]:
    required = schema.get("required", [])
    for name, inner in schema.get("properties", {}).items():
        yield Field(name, shown_type(inner), name in required, inner.get("description", ""))


def shown_type(schema: Schema) -> str:
    """As HTML; a record is a link to where it is told."""
    limits = [words.format(schema[name]) for name, words in _LIMITS.items() if name in schema and schema[name] != {}]
    limits_text = ", ".join(limits)
    return f"{_bare(schema)} <small>{escape(limits_text)}</small>" if limits_text else _bare(schema)


def _bare(schema: Schema) -> str:
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return f'<a href="#{name}">{name}</a>'
        case {"enum": values}:
            return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"anyOf": choices} | {"oneOf": choices}:
            return " | ".join(shown_type(choice) for choice in choices)
        case {"type": "array", "items": {} as items}:
            return f"list of {shown_type(items)}"
        case {"type": "object", "additionalProperties": {} as values} if values:
            return f"object of {shown_type(values)}"
        case {"type": kind}:
            return escape(schema.get("format", str(kind)))
        case _:
            return "anything"
