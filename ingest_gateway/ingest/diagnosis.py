"""What exactly is wrong with one event: the whole rule book, slowly, and how to mend it."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from ingest_gateway.ingest.columns import CONTROL, LARGE_EVENT, properties_text
from ingest_gateway.ingest.event_formats import Shape
from ingest_gateway.ingest.json_structure import nests_deeper
from ingest_gateway.ingest.parse_timestamps import read_moment
from ingest_gateway.ingest.strict_json import Fault, first_flaw, parse, printable, shown
from schemas.event import NAME_LENGTH, PROPERTIES_BYTES, PROPERTIES_DEPTH, RejectCode

_SUGGESTED = 64
_CLOUD_FIELDS = ("specversion", "source", "data_base64")
_JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def diagnose(text: bytes, shape: Shape) -> tuple[Fault | None, str | None]:
    """The first rule the event breaks, if any, and its idempotency key as far as it can be told."""
    if _is_hopeless(text, shape):
        message = f"the event has {len(text)} bytes, more than any event may have; send only what is metered"
        return Fault(RejectCode.PROPERTIES_SIZE, None, message), None
    tree = parse(text)
    if isinstance(tree, Fault):
        return tree, None
    return next(_faults(tree, text, shape), None), _key_of(tree, shape)


def _is_hopeless(text: bytes, shape: Shape) -> bool:
    """Too large to be looked at closely, and bad for certain."""
    if len(text) <= LARGE_EVENT or shape.is_cloudevent:
        return len(text) > LARGE_EVENT
    posted = properties_text(text, shape)
    return posted is None or len(posted) > PROPERTIES_BYTES


def _key_of(tree: Any, shape: Shape) -> str | None:
    key = tree.get(shape.idempotency_key) if isinstance(tree, dict) else None
    return key if isinstance(key, str) and len(key) <= NAME_LENGTH and printable(key) == key else None


def _faults(tree: Any, text: bytes, shape: Shape) -> Iterator[Fault]:
    flaw = first_flaw(_counted_fields(tree, shape))
    if flaw is not None:
        yield flaw
    elif not isinstance(tree, dict):
        yield Fault(RejectCode.WRONG_TYPE, None, f"an event is a JSON object, not {_kind(tree)}")
    else:
        yield from _cloud_faults(tree) if shape.is_cloudevent else _unknown_fields(tree, shape)
        for field in shape.texts:
            yield from _text_faults(tree, field)
        yield from _time_faults(tree, shape)
        yield from _properties_faults(tree.get(shape.properties), text, shape)


def _counted_fields(tree: Any, shape: Shape) -> Any:
    """Extension attributes of CloudEvents are let be: nothing of them is kept."""
    if not (shape.is_cloudevent and isinstance(tree, dict)):
        return tree
    return {field: tree[field] for field in (*shape.fields, *_CLOUD_FIELDS) if field in tree}


def _kind(value: object) -> str:
    return _JSON_NAMES.get(type(value), "a number")


def _unknown_fields(tree: dict[str, Any], shape: Shape) -> Iterator[Fault]:
    for field in tree:
        if field not in shape.fields:
            near = get_close_matches(field[:_SUGGESTED], shape.fields, n=1)
            advice = f"did you mean {near[0]}?" if near else f"put it into {shape.properties}"
            yield Fault(RejectCode.UNKNOWN_FIELD, printable(field), f"an event has no field {shown(field)}; {advice}")


def _cloud_faults(tree: dict[str, Any]) -> Iterator[Fault]:
    version = tree.get("specversion")
    if version != "1.0":
        message = f'specversion must be "1.0", not {shown(version)}'
        yield Fault(RejectCode.WRONG_TYPE, "specversion", message)
    source = tree.get("source")
    if not isinstance(source, str) or not source:
        yield Fault(RejectCode.MISSING_FIELD, "source", "source must be a text that is not empty")
    if tree.get("data_base64") is not None:
        message = "data_base64 cannot be counted; send a JSON object in data"
        yield Fault(RejectCode.UNKNOWN_FIELD, "data_base64", message)


def _text_faults(tree: dict[str, Any], field: str) -> Iterator[Fault]:
    if field not in tree:
        yield Fault(RejectCode.MISSING_FIELD, field, f"{field} is missing; every event needs it")
        return
    value = tree[field]
    if not isinstance(value, str):
        yield Fault(RejectCode.WRONG_TYPE, field, f"{field} must be a string, not {_kind(value)}")
    elif not 1 <= len(value) <= NAME_LENGTH:
        message = f"{field} must have 1 to {NAME_LENGTH} characters; it has {len(value)}"
        yield Fault(RejectCode.LENGTH, field, message)
    elif found := CONTROL.search(value):
        message = f"{field} holds the control character U+{ord(found[0]):04X} at place {found.start()}; remove it"
        yield Fault(RejectCode.CHARACTERS, field, message)


def _time_faults(tree: dict[str, Any], shape: Shape) -> Iterator[Fault]:
    field = shape.timestamp
    value = tree.get(field)
    if value is None and shape.is_cloudevent:
        return
    if field not in tree:
        yield Fault(RejectCode.MISSING_FIELD, field, f"{field} is missing; every event needs it")
    elif not isinstance(value, str):
        yield Fault(
            RejectCode.WRONG_TYPE,
            field,
            f"{field} must be a string such as 2026-11-21T10:30:00Z, not {_kind(value)}",
        )
    elif (moment := read_moment(value)) is None:
        yield Fault(
            RejectCode.TIMESTAMP_FORMAT,
            field,
            f"{field} {shown(value)} is not a time with an offset; write 2026-11-21T10:30:00Z or …+01:00",
        )
    elif moment < 0:
        yield Fault(RejectCode.TIMESTAMP_OLD, field, f"{field} {shown(value)} lies before 1970")


def _properties_faults(value: object, text: bytes, shape: Shape) -> Iterator[Fault]:
    field = shape.properties
    if value is None:
        return
    if not isinstance(value, dict):
        yield Fault(RejectCode.WRONG_TYPE, field, f"{field} must be a JSON object, not {_kind(value)}")
        return
    posted = properties_text(text, shape) or b""
    if len(posted) > PROPERTIES_BYTES:
        yield Fault(
            RejectCode.PROPERTIES_SIZE,
            field,
            f"{field} has {len(posted)} bytes; the limit is {PROPERTIES_BYTES}. Send only what is metered",
        )
    elif nests_deeper(posted, PROPERTIES_DEPTH):
        message = f"{field} nests deeper than {PROPERTIES_DEPTH} levels; flatten it"
        yield Fault(RejectCode.PROPERTIES_DEPTH, field, message)
