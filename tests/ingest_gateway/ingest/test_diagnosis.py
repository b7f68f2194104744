"""Every way an event can be invalid: its code and field, a message, and no effect on its neighbours."""

import json

import pytest

from schemas.event import RejectCode as Code
from tests.ingest_gateway.ingest.examples import (
    NDJSON,
    batch,
    cloudevent,
    event,
    post,
    raw_batch,
    raw_event,
    stored_properties,
)

DEEP = b'{"a":' * 33 + b"1" + b"}" * 33
FATHOMLESS = b'{"a":' * 5_000 + b"1" + b"}" * 5_000

PARTS = raw_event(properties=b"{}")[1:-1].split(b",")

BAD = [
    (raw_event(timestamp=b"12"), Code.WRONG_TYPE, "timestamp"),
    (raw_event(timestamp=b'"2026-11-21"'), Code.TIMESTAMP_FORMAT, "timestamp"),
    (raw_event(timestamp=b'"1969-12-31T23:59:59Z"'), Code.TIMESTAMP_OLD, "timestamp"),
    (raw_event(timestamp=b'"0001-01-01T00:00:00+23:59"'), Code.TIMESTAMP_OLD, "timestamp"),
    (raw_event(timestamp=b'"2200-01-01T00:00:00Z"'), Code.TIMESTAMP_AHEAD, "timestamp"),
    (raw_event(timestamp=b'"9999-12-31T23:59:59-23:59"'), Code.TIMESTAMP_AHEAD, "timestamp"),
    (raw_event(event_name=b'""'), Code.LENGTH, "event_name"),
    (raw_event(customer_id=b'"%b"' % (b"x" * 256)), Code.LENGTH, "customer_id"),
    (raw_event(idempotency_key=b"null"), Code.WRONG_TYPE, "idempotency_key"),
    (raw_event(event_name=b"[]"), Code.WRONG_TYPE, "event_name"),
    (raw_event(customer_id=b"true"), Code.WRONG_TYPE, "customer_id"),
    (raw_event(event_name=b'"a\\u0007b"'), Code.CHARACTERS, "event_name"),
    (raw_event(event_name=b'"a\x7fb"'), Code.CHARACTERS, "event_name"),
    (raw_event(event_name='"a\u0085b"'.encode()), Code.CHARACTERS, "event_name"),
    (raw_event(event_name=b'"a\nb"'), Code.CHARACTERS, None),
    (raw_event(event_name=b'"\\ud800"'), Code.CHARACTERS, "event_name"),
    (raw_event(event_name=b'"\xff"'), Code.CHARACTERS, None),
    (raw_event(propertys=b"{}"), Code.UNKNOWN_FIELD, "propertys"),
    (raw_event()[:-1] + b',"event_name":"again"}', Code.DUPLICATE_FIELD, None),
    (raw_event(properties=b"[]"), Code.WRONG_TYPE, "properties"),
    (raw_event(properties=b'"{}"'), Code.WRONG_TYPE, "properties"),
    (raw_event(properties=b'{"a":1,"b":2,"a":3}'), Code.DUPLICATE_FIELD, "properties"),
    (raw_event(properties=b'{"a" :"\\u0022:","a":3}'), Code.DUPLICATE_FIELD, "properties"),
    (raw_event(properties=b'{"o":[{"a":1,"\\u0061":2}]}'), Code.DUPLICATE_FIELD, "properties.o[0]"),
    (raw_event(properties=b'{"a":NaN}'), Code.NOT_A_NUMBER, "properties.a"),
    (raw_event(properties=b'{"a":[-Infinity]}'), Code.NOT_A_NUMBER, "properties.a[0]"),
    (raw_event(properties=b'{"a":1e400}'), Code.NUMBER_RANGE, "properties.a"),
    (raw_event(properties=b'{"a":18446744073709551616}'), Code.NUMBER_RANGE, "properties.a"),
    (raw_event(properties=b'{"a":-9223372036854775809}'), Code.NUMBER_RANGE, "properties.a"),
    (raw_event(properties=b'{"a":%b}' % (b"9" * 10_000)), Code.NUMBER_RANGE, "properties.a"),
    (raw_event(properties=b'{"a":"\\ud800"}'), Code.CHARACTERS, "properties.a"),
    (raw_event(properties=b'{"a":"\\u0000"}'), Code.CHARACTERS, "properties.a"),
    (raw_event(properties=b'{"\\u0000":1}'), Code.CHARACTERS, "properties"),
    (raw_event(properties=b'{"a":"\x01"}'), Code.CHARACTERS, None),
    (raw_event(properties=b'{"a":"\xc3"}'), Code.CHARACTERS, None),
    (raw_event(properties=DEEP), Code.PROPERTIES_DEPTH, "properties"),
    (raw_event(properties=FATHOMLESS), Code.PROPERTIES_DEPTH, None),
    (raw_event(properties=b'{"a":"%b"}' % (b"x" * 16_377)), Code.PROPERTIES_SIZE, "properties"),
    (raw_event(properties=b'{"a":01}'), Code.MALFORMED, None),
    (raw_event(properties=b'{"a":1,}'), Code.MALFORMED, None),
    (raw_event(properties=b'{"a":}'), Code.MALFORMED, None),
    (b"17", Code.WRONG_TYPE, None),
    (b"null", Code.WRONG_TYPE, None),
    (b"{}", Code.MISSING_FIELD, "event_name"),
    *[
        (
            json.dumps({name: value for name, value in event().items() if name != field}).encode(),
            Code.MISSING_FIELD,
            field,
        )
        for field in ("event_name", "idempotency_key", "customer_id", "timestamp")
    ],
]


def name_of_case(value: object) -> str | None:
    """The end of the text."""
    return repr(value[-40:]) if isinstance(value, bytes) else None


@pytest.mark.parametrize(("text", "code", "field"), BAD, ids=name_of_case)
def test_a_bad_event_never_sinks_the_others(text: bytes, code: Code, field: str | None) -> None:
    """In a batch of three, the invalid event is rejected by index, code and field; the others parse as if alone."""
    first, last = raw_event("first"), raw_event("last")
    posted = post(raw_batch(first, text, last))
    (rejection,) = posted.rejections
    assert (rejection.index, rejection.code, rejection.field) == (1, code, field)
    assert len(rejection.message) > 20
    assert json.dumps(rejection.message, ensure_ascii=False).encode()
    alone = post(raw_batch(first, last)).valid
    assert list(posted.valid.indexes) == [0, 2]
    assert posted.valid.key_hashes == alone.key_hashes
    assert posted.valid.body_hashes == alone.body_hashes
    assert stored_properties(posted.valid) == stored_properties(alone)


@pytest.mark.parametrize(("text", "code", "field"), [case for case in BAD if b"\n" not in case[0]], ids=name_of_case)
def test_the_same_verdict_in_ndjson(text: bytes, code: Code, field: str | None) -> None:
    """A line is judged as an element of a batch is."""
    posted = post(b"\n".join([raw_event("first"), text, b"", raw_event("last")]), NDJSON)
    (rejection,) = posted.rejections
    assert (rejection.index, rejection.code, rejection.field) == (1, code, field)


@pytest.mark.parametrize(
    "text",
    [
        raw_event(event_name=b'"%b"' % (b"x" * 255)),
        raw_event(event_name='"\U0001f600é\u00a0"'.encode()),
        raw_event(event_name=b'"\\u00e9\\"\\\\"'),
        raw_event(properties=b'{"a":"\\\\u0000"}'),
        raw_event(properties=b'{"a":"\\n\\t\\u0001"}'),
        raw_event(properties=b'{"a":18446744073709551615,"b":-9223372036854775808}'),
        raw_event(properties=DEEP[5:-1]),
        raw_event(properties=b'{"a":"%b"}' % (b"x" * 16_376)),
        raw_event(properties=b'{ "a" : "\\":" , "b" : ":" , ":" : {":":"::"} }'),
        raw_event(properties=b'{"a":"[[[[{{{{' + b"{[" * 100 + b'"}'),
        raw_event(properties=b"null"),
        raw_event(properties=b"{}"),
        json.dumps(event(properties=None)).encode(),
    ],
    ids=name_of_case,
)
def test_odd_but_valid_events_pass(text: bytes) -> None:
    """Alone and next to an invalid event, with the same result."""
    alone, mixed = post(text), post(raw_batch(text, b"17"))
    assert alone.rejections == ()
    assert len(mixed.valid) == len(mixed.rejections) == 1
    assert alone.valid.body_hashes == mixed.valid.body_hashes
    assert stored_properties(alone.valid) == stored_properties(mixed.valid)


def test_the_nearest_field_is_suggested() -> None:
    (rejection,) = post(batch(event(idempotencyKey="k", idempotency_key=None))).rejections
    assert "did you mean idempotency_key?" in rejection.message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"source": ""}, "source"),
        ({"source": 5}, "source"),
        ({"subject": None}, "subject"),
        ({"id": ""}, "id"),
        ({"type": "a\tb"}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"data": [1]}, "data"),
        ({"data": None, "data_base64": "AAAA"}, "data_base64"),
        ({"extension": "x" * 65_536}, None),
    ],
)
def test_rejections_of_cloudevents_name_their_own_fields(changes: dict[str, object], field: str | None) -> None:
    body = json.dumps([cloudevent("good"), cloudevent("bad", **changes)]).encode()
    posted = post(body)
    (rejection,) = posted.rejections
    assert (rejection.index, rejection.field) == (1, field)
    assert len(posted.valid) == 1
