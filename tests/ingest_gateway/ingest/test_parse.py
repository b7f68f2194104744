"""The forms of a body: their detection, their common meaning, and bodies that are malformed as a whole."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.ingest.batch import NO_TIME, BodyFormat
from schemas.errors import Invalid, Refused
from schemas.hashing import key_hash
from tests.ingest_gateway.ingest.examples import (
    ACCOUNT,
    JSON,
    NDJSON,
    batch,
    cloudevent,
    event,
    post,
    raw_batch,
    raw_event,
    stored_properties,
    timestamps,
)

CLOUDEVENT = "application/cloudevents+json; charset=utf-8"
CLOUDEVENTS = "application/cloudevents-batch+json"


@pytest.mark.parametrize(
    ("body", "content_type", "form"),
    [
        (batch(event()), JSON, BodyFormat.BATCH),
        (batch(event()), "", BodyFormat.BATCH),
        (b"\xef\xbb\xbf \n" + batch(event()), JSON, BodyFormat.BATCH),
        (json.dumps(event(), indent=2).encode(), JSON, BodyFormat.SINGLE),
        (json.dumps(event()).encode() + b"\r\n\r\n", NDJSON, BodyFormat.NDJSON),
        (json.dumps(cloudevent()).encode(), CLOUDEVENT, BodyFormat.CLOUDEVENT),
        (json.dumps(cloudevent()).encode(), JSON, BodyFormat.CLOUDEVENT),
        (json.dumps([cloudevent()]).encode(), CLOUDEVENTS, BodyFormat.CLOUDEVENTS),
        (json.dumps([cloudevent()], indent=1).encode(), JSON, BodyFormat.CLOUDEVENTS),
        (json.dumps([cloudevent(traceparent="00-ab", extra={"a": [1]})]).encode(), JSON, BodyFormat.CLOUDEVENTS),
    ],
)
def test_every_form_means_the_same_event(body: bytes, content_type: str, form: BodyFormat) -> None:
    """An event has the same key hash and body hash in every form."""
    posted, plain = post(body, content_type), post(batch(event()))
    assert (posted.body_format, posted.events, posted.rejections) == (form, 1, ())
    assert posted.valid.key_hashes == plain.valid.key_hashes == key_hash(ACCOUNT, "k1")
    assert posted.valid.body_hashes == plain.valid.body_hashes
    assert timestamps(posted.valid) == timestamps(plain.valid)


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", JSON, "empty"),
        (b"  ", JSON, "empty"),
        (b"", NDJSON, "no event"),
        (b'{"events":[]}', JSON, "no event"),
        (b"[]", JSON, "no event"),
        (b"17", JSON, "not a JSON object"),
        (batch(event())[:-1], JSON, "ends at byte"),
        (batch(event()) + b"]", JSON, "follows its end at byte"),
        (raw_batch(raw_event())[:-2] + b"}}", JSON, "does not close"),
        (raw_batch(raw_event(), b""), JSON, "nothing stands before"),
        (b'{"events":{}}', JSON, "must be a list"),
        (b'{"events":[],"more":1}', JSON, "more"),
        (b'{"more":1,"events":[]}', JSON, "more"),
        (b'{"events":[],"events":[]}', JSON, "second events"),
        (json.dumps([event()]).encode(), JSON, '{"events"'),
        (json.dumps(cloudevent()).encode(), CLOUDEVENTS, "must be a list"),
        (json.dumps([cloudevent()]).encode(), CLOUDEVENT, "object"),
        (raw_batch(*[b"{}"] * 10_001), JSON, "more than 10000"),
        (batch(*[event(str(number)) for number in range(10_001)]), JSON, "more than 10000"),
        (b"{}\n" * 10_001, NDJSON, "more than 10000"),
    ],
    ids=lambda value: repr(value[-40:]),
)
def test_a_malformed_body_is_refused_as_a_whole(body: bytes, content_type: str, message: str) -> None:
    """If its events cannot be separated, the body is refused with the position."""
    with pytest.raises(Invalid, match=message):
        post(body, content_type)


def test_ten_thousand_events_are_accepted() -> None:
    assert post(batch(*[event(str(number)) for number in range(10_000)])).events == 10_000


def test_properties_are_stored_byte_for_byte() -> None:
    """Whitespace, order and every digit of the posted text stay; only the hash uses a canonical form."""
    text = b'{ "z":0.10000000000000000000001, "a":[1 ,2], "\\u00e9":"\xc3\xa9" }'
    same = b'{"\xc3\xa9":"\\u00e9","a":[1,2],"z":0.1}'
    first, second = post(raw_event(properties=text)).valid, post(raw_event(properties=same)).valid
    assert stored_properties(first) == [text]
    assert first.body_hashes == second.body_hashes


def test_another_body_has_another_hash() -> None:
    """Event name, customer, timestamp and properties make the hash; the key does not."""
    plain = post(batch(event())).valid.body_hashes
    changes: list[dict[str, Any]] = [
        {"event_name": "other"},
        {"customer_id": "other"},
        {"timestamp": "2026-11-21T10:30:00.500001Z"},
        {"properties": {"tokens": 13}},
    ]
    assert all(post(batch(event(**change))).valid.body_hashes != plain for change in changes)
    assert post(batch(event("other key"))).valid.body_hashes == plain
    assert post(batch(event(timestamp="2026-11-21T11:30:00.5+01:00"))).valid.body_hashes == plain


def test_a_cloudevent_without_time_has_a_constant_body_hash() -> None:
    """Its timestamp is the arrival, but a retry has the same body."""
    body = json.dumps([cloudevent("a", time=None), cloudevent("b")]).encode()
    posted = post(body)
    assert timestamps(posted.valid)[0] == NO_TIME
    assert posted.valid.body_hashes[:8] != posted.valid.body_hashes[8:]
    assert post(body).valid.body_hashes == posted.valid.body_hashes


fragments = st.sampled_from(
    [
        *[b'{"events":[', b"]}", b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"\n", b" ", b"\xff"],
        *[b"null", b"NaN", b"1e999", b'"properties":', b'"events"', b'"specversion":"1.0"'],
        *[raw_event(), json.dumps(cloudevent()).encode()],
    ]
)
types = st.sampled_from([JSON, NDJSON, CLOUDEVENT, CLOUDEVENTS, "text/plain"])


@given(body=st.lists(fragments | st.binary(max_size=3), max_size=12).map(b"".join), content_type=types)
def test_no_bytes_raise_anything_but_a_refusal(body: bytes, content_type: str) -> None:
    """Any body is parsed event by event, or refused."""
    try:
        posted = post(body, content_type)
    except Refused:
        return
    indexes = sorted([*posted.valid.indexes, *[rejection.index for rejection in posted.rejections]])
    assert indexes == list(range(posted.events))


@given(data=st.data(), seed=st.integers())
def test_a_damaged_body_never_raises(data: st.DataObject, seed: int) -> None:
    """A valid body with some bytes changed, added or removed is parsed or refused."""
    body = bytearray(batch(*[event(str(number)) for number in range(3)]))
    chance = random.Random(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        place = chance.randrange(len(body))
        body[place : place + chance.randrange(3)] = bytes(chance.choices(b'"\\{}[],:0e\xc3\x00', k=chance.randrange(3)))
    for content_type in (JSON, NDJSON):
        try:
            post(bytes(body), content_type)
        except Refused as error:
            assert len(error.message) > 10  # noqa: PT017 - both outcomes are correct


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | numbers | texts
properties = st.dictionaries(texts, st.recursive(scalars, lambda inner: st.lists(inner, max_size=3)), max_size=4)


@given(many=st.lists(properties, min_size=1, max_size=6), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_the_slow_path_agrees_with_the_fast_path(many: list[Any], ascii_only: bool, indent: int | None) -> None:
    """Next to an invalid event, valid ones parse byte for byte as without it."""
    events = [event(str(number), properties=each) for number, each in enumerate(many)]
    texts = [json.dumps(each, ensure_ascii=ascii_only, indent=indent).encode() for each in events]
    fast, slow = post(raw_batch(*texts)), post(raw_batch(*texts, b"17"))
    assert fast.rejections == ()
    assert len(slow.rejections) == 1
    for field in ("event_names", "customer_ids", "timestamps", "idempotency_keys", "properties"):
        assert getattr(fast.valid, field) == getattr(slow.valid, field)
    assert fast.valid.key_hashes == slow.valid.key_hashes
    assert fast.valid.body_hashes == slow.valid.body_hashes
