"""Explains what is wrong with one event: checks every rule, slowly, and says how to fix it."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from ingest_gateway.ingest.columns import CONTROL, LARGE_EVENT, properties_text
from ingest_gateway.ingest.event_formats import EventFormat
from ingest_gateway.ingest.json_structure import nests_deeper
from ingest_gateway.ingest.strict_json import EventFault, abbreviated, first_invalid_value, parse_strictly, printable
from schemas.event import MAX_NAME_LENGTH, MAX_PROPERTIES_BYTES, MAX_PROPERTIES_DEPTH, RejectCode
from schemas.moments import MOMENTS_END, parse_timestamp
from schemas.timestamps import LAST_YEAR

_SUGGESTED = 64
_CLOUD_FIELDS = ("specversion", "source", "data_base64")
_JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def diagnose(text: bytes, event_format: EventFormat) -> tuple[EventFault | None, str | None]:
    """The first rule that the event breaks, if any, and its idempotency key, if it is readable."""
    if _is_too_large(text, event_format):
        message = f"the event has {len(text)} bytes, more than any event may have; send only what is metered"
        return EventFault(RejectCode.PROPERTIES_SIZE, None, message), None
    tree = parse_strictly(text)
    if isinstance(tree, EventFault):
        return tree, None
    return next(_faults(tree, text, event_format), None), _key_of(tree, event_format)


def _is_too_large(text: bytes, event_format: EventFormat) -> bool:
    """True if the event is certainly invalid because of its size, without a closer look."""
    if len(text) <= LARGE_EVENT or event_format.is_cloudevent:
        return len(text) > LARGE_EVENT
    posted = properties_text(text, event_format)
    return posted is None or len(posted) > MAX_PROPERTIES_BYTES


def _key_of(tree: Any, event_format: EventFormat) -> str | None:
    key = tree.get(event_format.idempotency_key) if isinstance(tree, dict) else None
    return key if isinstance(key, str) and len(key) <= MAX_NAME_LENGTH and printable(key) == key else None


def _faults(tree: Any, text: bytes, event_format: EventFormat) -> Iterator[EventFault]:
    invalid = first_invalid_value(_counted_fields(tree, event_format))
    if invalid is not None:
        yield invalid
    elif not isinstance(tree, dict):
        yield EventFault(RejectCode.WRONG_TYPE, None, f"an event is a JSON object, not {_kind(tree)}")
    else:
        yield from _cloud_faults(tree) if event_format.is_cloudevent else _unknown_fields(tree, event_format)
        for field in event_format.texts:
            yield from _text_faults(tree, field)
        yield from _time_faults(tree, event_format)
        yield from _properties_faults(tree.get(event_format.properties), text, event_format)


def _counted_fields(tree: Any, event_format: EventFormat) -> Any:
    """The tree without extension attributes of CloudEvents, which are neither checked nor stored."""
    if not (event_format.is_cloudevent and isinstance(tree, dict)):
        return tree
    return {field: tree[field] for field in (*event_format.fields, *_CLOUD_FIELDS) if field in tree}


def _kind(value: object) -> str:
    return _JSON_NAMES.get(type(value), "a number")


def _unknown_fields(tree: dict[str, Any], event_format: EventFormat) -> Iterator[EventFault]:
    for field in tree:
        if field not in event_format.fields:
            near = get_close_matches(field[:_SUGGESTED], event_format.fields, n=1)
            advice = f"did you mean {near[0]}?" if near else f"put it into {event_format.properties}"
            yield EventFault(
                RejectCode.UNKNOWN_FIELD, printable(field), f"an event has no field {abbreviated(field)}; {advice}"
            )


def _cloud_faults(tree: dict[str, Any]) -> Iterator[EventFault]:
    version = tree.get("specversion")
    if version != "1.0":
        message = f'specversion must be "1.0", not {abbreviated(version)}'
        yield EventFault(RejectCode.WRONG_TYPE, "specversion", message)
    source = tree.get("source")
    if not isinstance(source, str) or not source:
        yield EventFault(RejectCode.MISSING_FIELD, "source", "source must be a text that is not empty")
    if tree.get("data_base64") is not None:
        message = "data_base64 cannot be counted; send a JSON object in data"
        yield EventFault(RejectCode.UNKNOWN_FIELD, "data_base64", message)


def _text_faults(tree: dict[str, Any], field: str) -> Iterator[EventFault]:
    if field not in tree:
        yield EventFault(RejectCode.MISSING_FIELD, field, f"{field} is missing; every event needs it")
        return
    value = tree[field]
    if not isinstance(value, str):
        yield EventFault(RejectCode.WRONG_TYPE, field, f"{field} must be a string, not {_kind(value)}")
    elif not 1 <= len(value) <= MAX_NAME_LENGTH:
        message = f"{field} must have 1 to {MAX_NAME_LENGTH} characters; it has {len(value)}"
        yield EventFault(RejectCode.LENGTH, field, message)
    elif found := CONTROL.search(value):
        message = f"{field} holds the control character U+{ord(found[0]):04X} at place {found.start()}; remove it"
        yield EventFault(RejectCode.CHARACTERS, field, message)


def _time_faults(tree: dict[str, Any], event_format: EventFormat) -> Iterator[EventFault]:
    field = event_format.timestamp
    value = tree.get(field)
    if value is None and event_format.is_cloudevent:
        return
    if field not in tree:
        yield EventFault(RejectCode.MISSING_FIELD, field, f"{field} is missing; every event needs it")
    elif not isinstance(value, str):
        yield EventFault(
            RejectCode.WRONG_TYPE,
            field,
            f"{field} must be a string such as 2026-11-21T10:30:00Z, not {_kind(value)}",
        )
    elif (timestamp := parse_timestamp(value)) is None:
        yield EventFault(
            RejectCode.TIMESTAMP_FORMAT,
            field,
            f"{field} {abbreviated(value)} is not a time with an offset; write 2026-11-21T10:30:00Z or …+01:00",
        )
    elif timestamp < 0:
        yield EventFault(RejectCode.TIMESTAMP_OLD, field, f"{field} {abbreviated(value)} lies before 1970")
    elif timestamp >= MOMENTS_END:
        yield EventFault(RejectCode.TIMESTAMP_AHEAD, field, f"{field} {abbreviated(value)} lies after {LAST_YEAR}")


def _properties_faults(value: object, text: bytes, event_format: EventFormat) -> Iterator[EventFault]:
    field = event_format.properties
    if value is None:
        return
    if not isinstance(value, dict):
        yield EventFault(RejectCode.WRONG_TYPE, field, f"{field} must be a JSON object, not {_kind(value)}")
        return
    posted = properties_text(text, event_format) or b""
    if len(posted) > MAX_PROPERTIES_BYTES:
        yield EventFault(
            RejectCode.PROPERTIES_SIZE,
            field,
            f"{field} has {len(posted)} bytes; the limit is {MAX_PROPERTIES_BYTES}. Send only what is metered",
        )
    elif nests_deeper(posted, MAX_PROPERTIES_DEPTH):
        message = f"{field} nests deeper than {MAX_PROPERTIES_DEPTH} levels; flatten it"
        yield EventFault(RejectCode.PROPERTIES_DEPTH, field, message)
