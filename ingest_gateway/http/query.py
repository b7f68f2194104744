"""Query parameters, read into the record that describes them; the first unknown name or wrong value is refused."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec import inspect

from ingest_gateway.http.field_rules import Rule, rule_of
from ingest_gateway.http.validation import Record, field_and_message, pairs_of, unknown_name
from schemas.errors import Invalid
from schemas.moments import read_text

_COMMA = re.compile(r"(?<!\\),")
_INDEXED = re.compile(r"(\w+)\[(.*)\]")
_LONGEST_INTEGER = 18


class _Parameter(NamedTuple):
    name: str
    field: msgspec.structs.FieldInfo
    kind: inspect.Type
    """Without annotations and without None."""
    rule: Rule | None
    example: Any

    @property
    def shown_name(self) -> str:
        """A dict is given as `name[key]=value`."""
        return self.name + "[]" * isinstance(self.kind, inspect.DictType)


@cache
def _parameters_of(record: type[msgspec.Struct]) -> tuple[_Parameter, ...]:
    return tuple(_parameter(field) for field in msgspec.structs.fields(record))


def _parameter(field: msgspec.structs.FieldInfo) -> _Parameter:
    info = inspect.type_info(field.type)
    examples = (info.extra_json_schema or {}).get("examples") if isinstance(info, inspect.Metadata) else None
    return _Parameter(field.encode_name, field, _bare(info), _rule_within(field.type), (examples or [""])[0])


def _bare(info: inspect.Type) -> inspect.Type:
    match info:
        case inspect.Metadata():
            return _bare(info.type)
        case inspect.UnionType():
            return _bare(next(each for each in info.types if not isinstance(each, inspect.NoneType)))
        case _:
            return info


def _rule_within(kind: Any) -> Rule | None:
    """The rule of a type, or of the type in its `… | None`."""
    return rule_of(kind) or next(filter(None, map(_rule_within, get_args(kind))), None)


def read_parameters(text: bytes, record: type[Record]) -> Record:
    """Raises Invalid. An empty value counts as absent, unless the parameter is a dict.

    A tuple takes repeated and comma-separated values, each once; a dict takes `name[key]=value` and holds a tuple of
    the values of each key.
    """
    parameters = _parameters_of(record)
    given = _given(text, [parameter.shown_name for parameter in parameters])
    values = {}
    for parameter in parameters:
        value = _read(parameter, given)
        if value is None and parameter.field.required:
            example = f"{parameter.name}={parameter.example}"
            raise _invalid(parameter.name, f"this query parameter is required, such as {example}")
        if value is not None:
            values[parameter.field.name] = _checked(parameter, value)
    return record(**values)


def _given(text: bytes, known: Sequence[str]) -> dict[str, list[str]]:
    """Every parameter with its values, in order."""
    values: dict[str, list[str]] = {}
    for name, value in pairs_of(text):
        indexed = _INDEXED.fullmatch(name)
        if (f"{indexed[1]}[]" if indexed else name) not in known:
            raise unknown_name("query parameter", name, known)
        values.setdefault(name, []).append(value)
    return values


def _read(parameter: _Parameter, given: Mapping[str, list[str]]) -> Any:
    match parameter.kind:
        case inspect.DictType():
            return _entries(parameter.name, given)
        case inspect.VarTupleType():
            return _texts(given.get(parameter.name, ()))
    text = _text(parameter.name, given.get(parameter.name, ()))
    if text is None:
        return None
    match parameter.kind:
        case inspect.IntType(ge=int(low), le=int(high)):
            return _integer(parameter.name, text, low, high)
        case inspect.BoolType():
            return _flag(parameter.name, text)
        case inspect.EnumType(cls=choices) if issubclass(choices, StrEnum):
            return _choice(parameter.name, text, choices)
        case _:
            return text


def _checked(parameter: _Parameter, value: Any) -> Any:
    message = None if parameter.rule is None else parameter.rule(value, {})
    if message is not None:
        raise _invalid(parameter.name, message)
    try:
        return read_text(value, parameter.field.type)
    except msgspec.ValidationError as error:
        raise _invalid(*field_and_message(parameter.name, str(error))) from None


def _text(name: str, values: Sequence[str]) -> str | None:
    if len(values) > 1:
        raise _invalid(name, f"give it once, not {len(values)} times")
    return (values[0] or None) if values else None


def _texts(values: Sequence[str]) -> tuple[str, ...]:
    """A comma inside a value is `\\,`."""
    parts = (part for value in values for part in _COMMA.split(value))
    return tuple(dict.fromkeys(part.replace("\\,", ",") for part in parts if part))


def _entries(name: str, given: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    indexed = ((_INDEXED.fullmatch(each), values) for each, values in given.items())
    return {match[2]: tuple(values) for match, values in indexed if match and match[1] == name}


def _integer(name: str, text: str, low: int, high: int) -> int:
    is_whole = text.isascii() and text.isdigit() and len(text) <= _LONGEST_INTEGER
    if not (is_whole and low <= int(text) <= high):
        raise _invalid(name, f"expected a whole number from {low} to {high}; got {text!r}")
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise _invalid(name, f"expected true or false; got {text!r}")
    return text == "true"


def _choice(name: str, text: str, choices: type[StrEnum]) -> StrEnum:
    try:
        return choices(text)
    except ValueError:
        raise _invalid(name, f"expected one of {', '.join(choices)}; got {text!r}") from None


def _invalid(name: str, message: str) -> Invalid:
    return Invalid(f"{name}: {message}", field=name)
