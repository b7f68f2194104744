"""Large hostile bodies are refused, as a whole or event by event, in linear time."""

import json
import time
from contextlib import suppress

import pytest

from schemas.errors import Refused
from tests.ingest_gateway.ingest.examples import JSON, NDJSON, cloudevent, post, raw_event

SIZES = [2_000_000, pytest.param(10_000_000, marks=pytest.mark.long)]
SECONDS_PER_MEGABYTE = 1.5
"""Of processor time; a quadratic step anywhere would take hours."""

CLOUD = json.dumps(cloudevent(time="soon")).encode()


def hostile_bodies(size: int) -> dict[str, bytes]:
    """By name; each of about `size` bytes."""
    members = b",".join(b'"%d":1' % number for number in range(size // 17))
    events = size // 1_000
    return {
        "all wrong": b'{"events":[' + b",".join([raw_event(timestamp=b"5")] * events) + b"]}",
        "all unknown": b'{"events":[' + b",".join([raw_event(oops=b"5")] * events) + b"]}",
        "brackets": b'{"events":[' + b"[" * size,
        "objects": b'{"a":' * (size // 5),
        "backslashes": b'{"events":["' + b"\\" * size,
        "half surrogates": b'{"events":[' + b",".join([b'{"a":"' + b"\\ud800" * 150 + b'"}'] * (size // 1_100)) + b"]}",
        "one long list": raw_event(properties=b'{"a":[' + b"1," * (size // 2) + b"1]}"),
        "one long attribute": CLOUD[:-1] + b',"a":[' + b"1," * (size // 2) + b"1]}",
        "one long number": raw_event(timestamp=b"1" * size),
        "one long name": b'{"events":[{"' + b"e" * size + b'":1}]}',
        "many members": b"{" + members + b"}",
        "many members, one twice": b'{"events":[{' + members + b',"0":2}]}',
        "many members in an attribute": CLOUD[:-1] + b',"a":{' + members + b',"0":2}}',
        "commas": b"[" + b"," * size,
        "blanks": b" " * size,
        "line ends": b"\n" * size,
        "short lines": b"{}\n" * (size // 3),
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("content_type", [JSON, NDJSON])
def test_hostile_bodies_are_refused_in_linear_time(size: int, content_type: str) -> None:
    """Nothing but Refused is raised."""
    for name, body in hostile_bodies(size).items():
        began = time.process_time()
        with suppress(Refused):
            posted = post(body, content_type)
            assert len(posted.rejections) == posted.events, name
        assert time.process_time() - began < SECONDS_PER_MEGABYTE * size / 1_000_000, name


def test_whitespace_does_not_make_an_event_too_large() -> None:
    text = b"{" + b" " * 200_000 + raw_event()[1:]
    mixed = post(b'{"events":[' + text + b",17]}")
    assert len(mixed.valid) == 1
    assert mixed.valid.body_hashes == post(text).valid.body_hashes
