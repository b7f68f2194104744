"""Ten megabytes made to hurt: each is answered in bounded time, as a refusal or event by event."""

import json
import time
from contextlib import suppress

import pytest

from schemas.errors import Refused
from tests.ingest_gateway.ingest.examples import JSON, NDJSON, cloudevent, post, raw_event

SIZE = 10_000_000
PATIENCE = 15.0
"""Seconds of processor time; a quadratic step anywhere would take hours."""

MEMBERS = b",".join(b'"%d":1' % number for number in range(600_000))
CLOUD = json.dumps(cloudevent(time="soon")).encode()

BODIES = {
    "all wrong": b'{"events":[' + b",".join([raw_event(timestamp=b"5")] * 10_000) + b"]}",
    "all unknown": b'{"events":[' + b",".join([raw_event(oops=b"5")] * 10_000) + b"]}",
    "brackets": b'{"events":[' + b"[" * SIZE,
    "objects": b'{"a":' * (SIZE // 5),
    "backslashes": b'{"events":["' + b"\\" * SIZE,
    "half surrogates": b'{"events":[' + b",".join([b'{"a":"' + b"\\ud800" * 150 + b'"}'] * 9_000) + b"]}",
    "one long list": raw_event(properties=b'{"a":[' + b"1," * (SIZE // 2) + b"1]}"),
    "one long attribute": CLOUD[:-1] + b',"a":[' + b"1," * (SIZE // 2) + b"1]}",
    "one long number": raw_event(timestamp=b"1" * SIZE),
    "one long name": b'{"events":[{"' + b"e" * SIZE + b'":1}]}',
    "many members": b"{" + MEMBERS + b"}",
    "many members, one twice": b'{"events":[{' + MEMBERS + b',"599999":2}]}',
    "many members in an attribute": CLOUD[:-1] + b',"a":{' + MEMBERS + b',"599999":2}}',
    "commas": b"[" + b"," * SIZE,
    "blanks": b" " * SIZE,
    "line ends": b"\n" * SIZE,
    "short lines": b"{}\n" * (SIZE // 3),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("content_type", [JSON, NDJSON])
def test_hostile_bodies_cost_little(name: str, content_type: str) -> None:
    """Nothing but a refusal is raised, and time is linear in the size."""
    began = time.process_time()
    with suppress(Refused):
        posted = post(BODIES[name], content_type)
        assert len(posted.rejections) == posted.events
    assert time.process_time() - began < PATIENCE


def test_a_large_event_that_is_good_passes() -> None:
    """Blanks around the fields are no fault, however many."""
    text = b"{" + b" " * 200_000 + raw_event()[1:]
    beside_a_bad_one = post(b'{"events":[' + text + b",17]}")
    assert len(beside_a_bad_one.good) == 1
    assert beside_a_bad_one.good.body_hashes == post(text).good.body_hashes
