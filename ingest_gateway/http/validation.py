"""Validates a document or a query against its record: all errors together, unknown names with a suggestion."""

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from ingest_gateway.http.field_rules import check_fields, has_rules
from schemas.errors import Invalid
from schemas.moments import read_text, read_value


def unknown_name(what: str, name: str, known: Sequence[str]) -> Invalid:
    """The error for an unknown name; `what` is the kind of name, such as "field"."""
    return Invalid(f"{name}: {did_you_mean(what, name, known)}", code="UNKNOWN_FIELD", field=name)


def did_you_mean(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}?" if near else "known are " + ", ".join(known) if known else "none is known here"
    return f"no such {what}; {meant}"


class ValidationErrors:
    """The errors of one request, by field."""

    def __init__(self) -> None:
        self._found: list[dict[str, str]] = []

    def add(self, field: str, message: str) -> None:
        self._found.append({"field": field, "message": message})

    def raise_if_any(self) -> None:
        """Raises Invalid with all errors together."""
        if self._found:
            first = self._found[0]
            more = f" (and {len(self._found) - 1} more, see details)" if len(self._found) > 1 else ""
            raise Invalid(f"{first['field']}: {first['message']}{more}", field=first["field"], details=self._found)


Record = TypeVar("Record", bound=msgspec.Struct)

_SHOWN = 64


class _Layout(NamedTuple):
    """The fields of a record. Inspecting a record takes longer than the rest of a request, so the result is cached."""

    info: inspect.Type
    fields: Mapping[str, msgspec.structs.FieldInfo]
    """By their names in JSON."""


@cache
def _layout(kind: type[msgspec.Struct]) -> _Layout:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    return _Layout(inspect.type_info(kind), fields)


def read_record(document: dict[str, Any], kind: type[Record], errors: ValidationErrors | None = None) -> Record:
    """Raises Invalid with every error, those already in `errors` included."""
    errors = errors or ValidationErrors()
    layout = _layout(kind)
    _find_unknown(document, layout.info, "", errors)
    if has_rules(kind):
        check_fields(document, kind, errors)
        errors.raise_if_any()
    values = {}
    for name, field in layout.fields.items():
        if name not in document:
            if field.required:
                errors.add(name, "is required")
            continue
        try:
            values[field.name] = read_value(document[name], field.type)
        except msgspec.ValidationError as error:
            errors.add(*field_and_message(name, str(error)))
    errors.raise_if_any()
    return kind(**values)


def read_query(text: bytes, kind: type[Record]) -> Record:
    """Query parameters, each given once; an empty value counts as absent. Raises Invalid with every error."""
    errors = ValidationErrors()
    fields = _layout(kind).fields
    values: dict[str, Any] = {}
    for name, value in pairs_of(text):
        if name not in fields:
            errors.add(name[:_SHOWN], did_you_mean("query parameter", name[:_SHOWN], list(fields)))
        elif name in values:
            errors.add(name, "give it once")
        elif value:
            values[name] = value
    for name, value in values.items():
        try:
            values[name] = read_text(value, fields[name].type)
        except msgspec.ValidationError as error:
            errors.add(*field_and_message(name, str(error)))
    errors.raise_if_any()
    return kind(**{fields[name].name: value for name, value in values.items()})


def _find_unknown(value: Any, kind: inspect.Type, at: str, errors: ValidationErrors) -> None:
    """Adds the names that the record does not have, at any depth."""
    match kind:
        case inspect.Metadata():
            _find_unknown(value, kind.type, at, errors)
        case inspect.UnionType():
            for each in kind.types:
                _find_unknown(value, each, at, errors)
        case inspect.StructType() if _matches_tag(value, kind):
            _find_unknown_in(value, kind, at, errors)
        case inspect.ListType() | inspect.VarTupleType() if isinstance(value, list):
            for place, inner in enumerate(value):
                _find_unknown(inner, kind.item_type, f"{at}[{place}]", errors)
        case inspect.DictType() if isinstance(value, dict):
            for key, inner in value.items():
                _find_unknown(inner, kind.value_type, _joined(at, key[:_SHOWN]), errors)


def _find_unknown_in(document: dict[str, Any], kind: inspect.StructType, at: str, errors: ValidationErrors) -> None:
    known = {field.encode_name: field.type for field in kind.fields}
    for name, inner in document.items():
        if name in known:
            _find_unknown(inner, known[name], _joined(at, name), errors)
        elif name != kind.tag_field:
            errors.add(_joined(at, name[:_SHOWN]), did_you_mean("field", name[:_SHOWN], [*known]))


def _matches_tag(value: Any, kind: inspect.StructType) -> bool:
    """Whether the value's tag names this record."""
    return isinstance(value, dict) and (kind.tag_field is None or value.get(kind.tag_field) == kind.tag)


def _joined(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def field_and_message(field: str, message: str) -> tuple[str, str]:
    """From msgspec's `Expected … - at `$.x``, or `… - at `key` in `$.x``, to the field's path and the message."""
    words, _, place = message.partition(" - at ")
    of, _, path = place.strip("`").rpartition("$")
    path = path.removeprefix(".")
    where = field if not path else f"{field}{path}" if path.startswith("[") else f"{field}.{path}"
    return where, ("a key: " if of else "") + words[:1].lower() + words[1:].replace("`", "")


def pairs_of(text: bytes) -> list[tuple[str, str]]:
    """Names and values of a query string. Raises Invalid for a string that is not one."""
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except (ValueError, UnicodeDecodeError) as error:
        raise Invalid(f"the query string cannot be read: {error}") from error
    for name, value in pairs:
        if "\x00" in name:
            raise Invalid("the query string holds a NUL character; no name and no value does")
        if "\x00" in value:
            raise Invalid(f"{name[:_SHOWN]}: the value holds a NUL character; no value does", field=name[:_SHOWN])
    return pairs
