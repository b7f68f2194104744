"""Query parameters, read strictly: an unknown name or a wrong value is refused, never ignored."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Self, TypeVar

import msgspec

from ingest_gateway.http.validation import pairs_of, unknown_name
from ingest_gateway.ingest.parse_timestamps import parse_timestamp
from schemas.errors import Invalid

LIMIT = 50
LARGEST_LIMIT = 1000

Choice = TypeVar("Choice", bound=StrEnum)

_COMMA = re.compile(r"(?<!\\),")
_INDEXED = re.compile(r"(\w+)\[(.*)\]")


class Query:
    """Parameters by name, each with all the values given, in order."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    @classmethod
    def parse(cls, text: bytes, known: Sequence[str]) -> Self:
        """`known` names may end in `[]`: then they are asked for as `name[key]=value`."""
        values: dict[str, list[str]] = {}
        for name, value in pairs_of(text):
            indexed = _INDEXED.fullmatch(name)
            if (f"{indexed[1]}[]" if indexed else name) not in known:
                raise unknown_name("query parameter", name, known)
            values.setdefault(name, []).append(value)
        return cls(values)

    @classmethod
    def of_type(cls, text: bytes, kind: type[msgspec.Struct]) -> Self:
        """What `kind` describes, and nothing else; a field that is a dict stands for `name[key]=value`."""
        fields = msgspec.structs.fields(kind)
        return cls.parse(text, [f"{field.encode_name}{'[]' * _is_dict(field.type)}" for field in fields])

    def text(self, name: str) -> str | None:
        """The one value; an empty one counts as absent."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise Invalid(f"{name}: give it once, not {len(values)} times", field=name)
        return (values[0] or None) if values else None

    def required(self, name: str, example: str) -> str:
        value = self.text(name)
        if value is None:
            raise Invalid(f"{name}: this query parameter is required, such as {name}={example}", field=name)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Several values: repeated, separated by commas, or both; each once. A comma inside a value is `\\,`."""
        given = (part for value in self._values.get(name, []) for part in _COMMA.split(value))
        return tuple(dict.fromkeys(part.replace("\\,", ",") for part in given if part))

    def indexed(self, name: str) -> dict[str, tuple[str, ...]]:
        """`name[key]=value`, each key with all its values exactly as given."""
        found: dict[str, tuple[str, ...]] = {}
        for given, values in self._values.items():
            indexed = _INDEXED.fullmatch(given)
            if indexed and indexed[1] == name:
                found[indexed[2]] = tuple(values)
        return found

    def choice(self, name: str, kind: type[Choice], default: Choice) -> Choice:
        value = self.text(name)
        if value is None:
            return default
        try:
            return kind(value)
        except ValueError:
            raise Invalid(f"{name}: expected one of {', '.join(kind)}; got {value!r}", field=name) from None

    def flag(self, name: str) -> bool:
        value = self.text(name)
        if value not in (None, "true", "false"):
            raise Invalid(f"{name}: expected true or false; got {value!r}", field=name)
        return value == "true"

    def integer(self, name: str, low: int, high: int) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) < 19 and low <= int(value) <= high):
            raise Invalid(f"{name}: expected a whole number from {low} to {high}; got {value!r}", field=name)
        return int(value)

    def limit(self, default: int = LIMIT, largest: int = LARGEST_LIMIT) -> int:
        return self.integer("limit", 1, largest) or default

    def timestamp(self, name: str) -> int | None:
        """An ISO 8601 time with offset, as microseconds."""
        value = self.text(name)
        return None if value is None else to_timestamp(value, name)


def _is_dict(kind: Any) -> bool:
    described = msgspec.inspect.type_info(kind)
    bare = described.type if isinstance(described, msgspec.inspect.Metadata) else described
    return isinstance(bare, msgspec.inspect.DictType)


def to_timestamp(text: str, field: str) -> int:
    """Raises Invalid. A '+' that arrived as a space, as it does where it was not escaped, is understood."""
    timestamp = parse_timestamp(text.replace(" ", "+") if "T" in text else text)
    if timestamp is None:
        raise Invalid(
            f"{field}: expected an ISO 8601 time with an offset, such as 2026-11-01T00:00:00Z; got {text[:60]!r}",
            field=field,
        )
    return timestamp
