"""Parses JSON slowly and exactly: nothing is rounded, dropped or repaired, and every fault names its place."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from ingest_gateway.ingest.json_structure import READABLE_DEPTH, nests_deeper
from schemas.event import MAX_PROPERTIES_DEPTH, RejectCode

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_DIGITS = 20
_LONGEST_SHOWN = 60


class EventFault(msgspec.Struct, frozen=True):
    """A rule that one event breaks: the code, the field and how to fix it."""

    code: RejectCode
    field: str | None
    message: str


class _InvalidValue(msgspec.Struct, frozen=True):
    """Replaces a value in the tree that has no exact representation."""

    code: RejectCode
    message: str


def abbreviated(value: object) -> str:
    """The value as ASCII JSON, at most 60 characters."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def parse_strictly(text: bytes) -> Any:
    """The value, or an EventFault if the text is not JSON. `first_invalid_value` finds invalid values inside."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        return EventFault(RejectCode.CHARACTERS, None, f"byte {error.start} of the event is not UTF-8; send UTF-8 text")
    if nests_deeper(text, READABLE_DEPTH):
        message = f"objects and lists nest deeper than {MAX_PROPERTIES_DEPTH} levels; flatten them"
        return EventFault(RejectCode.PROPERTIES_DEPTH, None, message)
    try:
        return json.loads(
            decoded,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_fraction,
        )
    except json.JSONDecodeError as error:
        control = error.msg.startswith("Invalid control character")
        code = RejectCode.CHARACTERS if control else RejectCode.MALFORMED
        return EventFault(code, None, f"the event is not valid JSON at character {error.pos}: {error.msg}")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    twice = next(name for name, count in counts.items() if count > 1)
    return _InvalidValue(RejectCode.DUPLICATE_FIELD, f"{abbreviated(twice)} is given twice; keep one of them")


def _constant(name: str) -> _InvalidValue:
    return _InvalidValue(RejectCode.NOT_A_NUMBER, f"{name} is not a JSON number; leave the field out instead")


def _integer(digits: str) -> int | _InvalidValue:
    if len(digits) <= _DIGITS and _SMALLEST <= int(digits) <= _LARGEST:
        return int(digits)
    short = digits if len(digits) <= _LONGEST_SHOWN else digits[: _LONGEST_SHOWN - 1] + "…"
    return _InvalidValue(RejectCode.NUMBER_RANGE, f"the integer {short} does not fit into 64 bits; send it as a string")


def _fraction(digits: str) -> float | _InvalidValue:
    value = float(digits)
    if math.isfinite(value):
        return value
    return _InvalidValue(
        RejectCode.NUMBER_RANGE, f"the number {digits[:_LONGEST_SHOWN]} is too large; send it as a string"
    )


def first_invalid_value(tree: Any, path: str = "") -> EventFault | None:
    """The first value in the tree without an exact representation, with its path."""
    return next(_invalid_values(tree, path), None)


def _invalid_values(value: Any, path: str) -> Iterator[EventFault]:
    match value:
        case _InvalidValue():
            yield EventFault(value.code, path or None, value.message)
        case str():
            yield from _bad_characters(value, path)
        case dict():
            for name, inner in value.items():
                yield from _bad_characters(name, path)
                yield from _invalid_values(inner, f"{path}.{printable(name)}" if path else printable(name))
        case list():
            for place, inner in enumerate(value):
                yield from _invalid_values(inner, f"{path}[{place}]")


def _bad_characters(text: str, path: str) -> Iterator[EventFault]:
    if "\0" in text:
        message = "a text holds the character U+0000, which stores cannot keep; remove it"
        yield EventFault(RejectCode.CHARACTERS, path or None, message)
    elif printable(text) != text:
        message = "a text holds half of a surrogate pair (\\ud800 to \\udfff); send whole characters"
        yield EventFault(RejectCode.CHARACTERS, path or None, message)


def printable(text: str) -> str:
    """The text with lone surrogates escaped, so that it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode()
