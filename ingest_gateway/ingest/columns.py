"""Turns decoded events into checked, hashed columns: the fast path for whole batches."""

import re
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import orjson

from ingest_gateway.ingest.batch import NO_TIME, ValidEvents
from ingest_gateway.ingest.cooperative import Steps, run_at_once
from ingest_gateway.ingest.event_formats import DecodedCloudEvent, EventFormat, Events, NativeEvent, decode_batch
from ingest_gateway.ingest.fingerprints import body_hashes, key_hashes
from ingest_gateway.ingest.json_structure import READABLE_DEPTH, count, nests_deeper, quotes
from ingest_gateway.ingest.packed_strings import PackedStrings, pack_encoded, pack_strings
from ingest_gateway.ingest.parse_timestamps import parse_timestamps
from schemas.event import MAX_PROPERTIES_BYTES, MAX_PROPERTIES_DEPTH
from schemas.moments import MOMENTS_END

EMPTY = b"{}"

_decode = msgspec.json.Decoder(list[dict[str, Any] | None]).decode
_OPENING = np.zeros(256, np.uint8)
_OPENING[[ord("["), ord("{")]] = 1


class Properties(msgspec.Struct, frozen=True):
    """The posted text and the value of each event's properties. Absent, null and {} are the same."""

    texts: PackedStrings
    values: list[dict[str, Any]]

    def fits(self) -> bool:
        """True if each is certainly within the limits of size and depth; False if that needs a closer look."""
        return self.texts.longest <= MAX_PROPERTIES_BYTES and self._most_opened() <= MAX_PROPERTIES_DEPTH

    def _most_opened(self) -> int:
        """An upper bound of the nesting depth: the largest number of brackets that one event opens."""
        text = self.texts.joined
        nested = count(text, "{") + count(text, "[") - len(self.texts)
        if nested < MAX_PROPERTIES_DEPTH:
            return 1 + nested
        opened = _OPENING[np.frombuffer(text, np.uint8)]
        starts = np.concatenate(([0], np.cumsum(self.texts.lengths[:-1])))
        return int(np.add.reduceat(opened, starts, dtype=np.int64).max())


def read_properties(texts: Sequence[msgspec.Raw]) -> Properties:
    """Raises ValueError or MsgspecError if a text is not a JSON object, or JSON parsers would disagree about it."""
    present: list[msgspec.Raw | bytes] = [text or EMPTY for text in texts]
    values = _decode(b"[" + b",".join(present) + b"]")
    objects = [value for value in values if value is not None]
    if len(objects) < len(values):
        present = [EMPTY if value is None else text for text, value in zip(present, values, strict=True)]
        objects = [value or {} for value in values]
    return Properties(pack_encoded(present), objects)


CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CONTROL_BYTES = re.compile(b"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]")
"""`CONTROL` in UTF-8."""
LARGE_EVENT = 64 * 1024
"""A valid event is larger only by whitespace. A CloudEvent, whose attributes have no limit of their own, may not be."""
_FIXED_STRINGS = 8
"""Names and values of the four text fields of a native event."""

_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, TypeError, OverflowError)
"""Raised by the decoders for hostile input."""


def read_batch(body: bytes, account: str) -> Steps[ValidEvents | None]:
    """The events of a body {"events": […]}; None if any of them needs a closer look."""
    try:
        return (yield from _read(body, decode_batch(body).events, account, outer_strings=1))
    except _DECODE_ERRORS:
        return None


def read_lines(
    lines: Sequence[bytes], indexes: Sequence[int], event_format: EventFormat, account: str
) -> Steps[ValidEvents | None]:
    """The events of JSON texts, one each; None if any of them needs a closer look."""
    if event_format.is_cloudevent and max(map(len, lines), default=0) > LARGE_EVENT:
        return None
    text = b"\n".join(lines)
    try:
        events = event_format.decode_lines(text)
        return (yield from _read(text, events, account, indexes)) if len(events) == len(lines) else None
    except _DECODE_ERRORS:
        return None


def read_valid_event(line: bytes, index: int, event_format: EventFormat, account: str) -> ValidEvents | None:
    """One event in which the diagnosis found no fault."""
    try:
        columns = run_at_once(_columns(event_format.decode_lines(line), account, (index,)))
    except _DECODE_ERRORS:
        return None
    return columns and columns[0]


def properties_text(line: bytes, event_format: EventFormat) -> bytes | None:
    """One event's properties as posted; None if a field of the event has the wrong type."""
    try:
        return bytes(event_format.decode_lines(line)[0].properties)
    except _DECODE_ERRORS:
        return None


def _read(
    text: bytes, events: Events, account: str, indexes: Sequence[int] | None = None, outer_strings: int = 0
) -> Steps[ValidEvents | None]:
    if not events:
        return None
    columns = yield from _columns(events, account, range(len(events)) if indexes is None else indexes)
    if columns is None:
        return None
    valid, properties = columns
    if not properties.fits() or _has_forbidden_characters(text, valid):
        return None
    if isinstance(events[0], DecodedCloudEvent) and nests_deeper(text, READABLE_DEPTH):
        return None
    strings = quotes(text) - 2 * outer_strings
    return valid if strings == _strings_kept(text, events, properties) else None


def _columns(
    events: Sequence[NativeEvent | DecodedCloudEvent], account: str, indexes: Sequence[int]
) -> Steps[tuple[ValidEvents, Properties] | None]:
    yield
    timestamps = _timestamps([event.timestamp for event in events])
    if timestamps is None:
        return None
    event_names = [event.event_name for event in events]
    customer_ids = [event.customer_id for event in events]
    idempotency_keys = [event.idempotency_key for event in events]
    yield
    properties = read_properties([event.properties for event in events])
    yield
    names, customers, keys = map(pack_strings, (event_names, customer_ids, idempotency_keys))
    hashes = key_hashes(account, idempotency_keys)
    yield
    valid = ValidEvents(
        indexes=indexes,
        event_names=names,
        customer_ids=customers,
        timestamps=array("q", timestamps).tobytes(),
        idempotency_keys=keys,
        properties=properties.texts,
        key_hashes=hashes,
        body_hashes=body_hashes(event_names, customer_ids, timestamps, properties.values),
    )
    yield
    return valid, properties


def _timestamps(texts: list[str | None]) -> list[int] | None:
    """Microseconds since 1970, `NO_TIME` for a missing text; None if any text is invalid, before 1970 or after 2199."""
    given = [text for text in texts if text is not None]
    timestamps = parse_timestamps(given)
    if timestamps is None or min(timestamps, default=0) < 0 or max(timestamps, default=0) >= MOMENTS_END:
        return None
    if len(given) == len(texts):
        return timestamps
    rest = iter(timestamps)
    return [NO_TIME if text is None else next(rest) for text in texts]


def _has_forbidden_characters(text: bytes, valid: ValidEvents) -> bool:
    """True for control characters in names or NUL in properties.

    The decoder refuses unescaped ones, so texts without escapes need no search.
    """
    if b"\\" in text:
        if b"\\u0000" in text and b"\\u0000" in text.replace(b"\\\\", b"__"):
            return True
    elif b"\x7f" not in text and b"\xc2" not in text:
        return False
    names = (valid.event_names, valid.customer_ids, valid.idempotency_keys)
    return any(_CONTROL_BYTES.search(texts.joined) for texts in names)


def _strings_kept(text: bytes, events: Events, properties: Properties) -> int:
    """The number of quotes in the text, if no field is given twice.

    Decoders keep the last of two equal fields and drop the first, with at least the two quotes of its name. So a
    field given twice changes the number of quotes.
    """
    if isinstance(events[0], DecodedCloudEvent):
        return quotes(orjson.dumps(list(map(orjson.loads, text.split(b"\n")))))
    given = sum(map(bool, [event.properties for event in events]))
    return 2 * (_FIXED_STRINGS * len(events) + given) + quotes(orjson.dumps(properties.values))
