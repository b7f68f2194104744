"""Parses a request body: detects the format, splits the body into events, and checks each event."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from ingest_gateway.ingest.batch import BodyFormat, PostedBatch, ValidEvents
from ingest_gateway.ingest.columns import read_batch, read_lines, read_valid_event
from ingest_gateway.ingest.cooperative import Steps, run_at_once
from ingest_gateway.ingest.diagnosis import diagnose
from ingest_gateway.ingest.event_formats import CLOUDEVENTS_FORMAT, NATIVE, EventFormat
from ingest_gateway.ingest.json_structure import elements
from ingest_gateway.ingest.packed_strings import concat_packed
from ingest_gateway.ingest.strict_json import EventFault
from schemas.errors import Invalid
from schemas.event import MAX_BATCH_EVENTS, RejectCode, Rejection
from schemas.ids import AccountId

_RUN = 64
_FIELD_SHOWN = 100

_UNREADABLE = EventFault(RejectCode.MALFORMED, None, "the event cannot be read; is it valid JSON?")

Read = tuple[ValidEvents, tuple[Rejection, ...]]


def read_each(lines: Sequence[bytes], event_format: EventFormat, account: str) -> Steps[Read]:
    """The valid events and the rejections of JSON texts, one event each."""
    whole = yield from read_lines(lines, range(len(lines)), event_format, account)
    if whole is not None:
        return whole, ()
    valid: list[ValidEvents] = []
    rejections: list[Rejection] = []
    for start in range(0, len(lines), _RUN):
        indexes = range(start, min(start + _RUN, len(lines)))
        run = yield from read_lines(lines[start : start + _RUN], indexes, event_format, account)
        if run is not None:
            valid.append(run)
            continue
        for index in indexes:
            found = _read_one(lines[index], index, event_format, account)
            valid.append(found) if isinstance(found, ValidEvents) else rejections.append(found)
    return _joined(valid), tuple(rejections)


def _read_one(line: bytes, index: int, event_format: EventFormat, account: str) -> ValidEvents | Rejection:
    plain = run_at_once(read_lines([line], (index,), event_format, account))
    if plain is not None:
        return plain
    fault, key = diagnose(line, event_format)
    if fault is None:
        valid = read_valid_event(line, index, event_format, account)
        if valid is not None:
            return valid
        fault = _UNREADABLE
    field = fault.field and fault.field[:_FIELD_SHOWN]
    return Rejection(index=index, idempotency_key=key, code=fault.code, field=field, message=fault.message)


def _joined(parts: Sequence[ValidEvents]) -> ValidEvents:
    return ValidEvents(
        indexes=list(chain.from_iterable(part.indexes for part in parts)),
        event_names=concat_packed([part.event_names for part in parts]),
        customer_ids=concat_packed([part.customer_ids for part in parts]),
        timestamps=b"".join(part.timestamps for part in parts),
        idempotency_keys=concat_packed([part.idempotency_keys for part in parts]),
        properties=concat_packed([part.properties for part in parts]),
        key_hashes=b"".join(part.key_hashes for part in parts),
        body_hashes=b"".join(part.body_hashes for part in parts),
    )


_BOM = b"\xef\xbb\xbf"
_NDJSON = {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
_CLOUDEVENT = "application/cloudevents+json"
_CLOUDEVENTS = "application/cloudevents-batch+json"

_BATCH_START = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"events"')
_LINE = re.compile(rb"[^ \t\r\n][^\n]*")
_MEMBER = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*+")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)


def parse_body(
    body: bytes, content_type: str, *, account: AccountId, request_id: str, strict: bool, backfill: bool
) -> Steps[PostedBatch]:
    """The events of a body, each checked on its own. Raises Invalid if the body as a whole is malformed.

    The content type identifies NDJSON and CloudEvents; any other body is JSON, identified by its members.
    """
    body_format, (valid, rejections) = yield from _read(body.removeprefix(_BOM), content_type, account)
    if not valid and not rejections:
        raise Invalid(f"there is no event in the body; post 1 to {MAX_BATCH_EVENTS} of them")
    return PostedBatch(
        body_format=body_format,
        account=account,
        request_id=request_id,
        strict=strict,
        backfill=backfill,
        valid=valid,
        rejections=rejections,
        size=len(body),
    )


def _read(body: bytes, content_type: str, account: AccountId) -> Steps[tuple[BodyFormat, Read]]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in _NDJSON:
        return BodyFormat.NDJSON, (yield from read_each(list(_lines(body)), NATIVE, account))
    if media_type == _CLOUDEVENT:
        return BodyFormat.CLOUDEVENT, (yield from read_each([_whole_object(body)], CLOUDEVENTS_FORMAT, account))
    if media_type == _CLOUDEVENTS:
        return BodyFormat.CLOUDEVENTS, (yield from read_each(_array(body, "the body"), CLOUDEVENTS_FORMAT, account))
    if _BATCH_START.match(body):
        valid = yield from read_batch(body, account)
        if valid is not None and len(valid) <= MAX_BATCH_EVENTS:
            return BodyFormat.BATCH, (valid, ())
    return (yield from _read_json(body, account))


def _read_json(body: bytes, account: AccountId) -> Steps[tuple[BodyFormat, Read]]:
    match body.lstrip(b" \t\r\n")[:1]:
        case b"{":
            return (yield from _read_object(body, account))
        case b"[":
            lines = _array(body, "the body")
            if lines and b'"specversion"' not in lines[0]:
                raise Invalid('a list of events is posted as {"events": […]}, or as a list of CloudEvents')
            return BodyFormat.CLOUDEVENTS, (yield from read_each(lines, CLOUDEVENTS_FORMAT, account))
        case b"":
            raise Invalid(f'the body is empty; post {{"events": […]}} with 1 to {MAX_BATCH_EVENTS} events')
        case _:
            raise Invalid('the body is not a JSON object; post {"events": […]} or one event')


def _read_object(body: bytes, account: AccountId) -> Steps[tuple[BodyFormat, Read]]:
    single = yield from read_lines([body], (0,), NATIVE, account)
    if single is not None:
        return BodyFormat.SINGLE, (single, ())
    members = list(_members(body))
    names = [name for name, _ in members]
    if "events" not in names:
        if "specversion" in names:
            return BodyFormat.CLOUDEVENT, (yield from read_each([body], CLOUDEVENTS_FORMAT, account))
        return BodyFormat.SINGLE, (yield from read_each([body], NATIVE, account))
    if names != ["events"]:
        other = next((name for name in names if name != "events"), "a second events")
        raise Invalid(f'a batch has the one field "events"; remove {other[:100]!a}')
    ((_, text),) = members
    if not text.startswith(b"["):
        raise Invalid('"events" must be a list of events', field="events")
    return BodyFormat.BATCH, (yield from read_each(_array(text, '"events"'), NATIVE, account))


def _lines(body: bytes) -> Iterator[bytes]:
    for number, line in enumerate(_LINE.finditer(body)):
        if number == MAX_BATCH_EVENTS:
            raise Invalid(f"the body has more than {MAX_BATCH_EVENTS} lines; split it over several requests")
        yield line[0]


def _array(text: bytes, what: str) -> list[bytes]:
    if not text.lstrip(b" \t\r\n").startswith(b"["):
        raise Invalid(f"{what} must be a list of events")
    return [text[start:end] for start, end in elements(text, what, MAX_BATCH_EVENTS)]


def _whole_object(body: bytes) -> bytes:
    if not body.lstrip(b" \t\r\n").startswith(b"{"):
        raise Invalid("the body must be one CloudEvent, a JSON object; a list of them is cloudevents-batch+json")
    elements(body, "the body", MAX_BATCH_EVENTS)
    return body


def _members(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The name and value of each member of the outermost object; '' for a member without a name."""
    for start, end in elements(body, "the body", MAX_BATCH_EVENTS):
        name = _MEMBER.match(body, start, end)
        yield (_text(name[1]), body[name.end() : end]) if name else ("", body[start:end])


def _text(quoted: bytes) -> str:
    try:
        return msgspec.json.decode(quoted, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
