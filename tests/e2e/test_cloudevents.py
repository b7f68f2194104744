"""The CloudEvents client library posts to the endpoint where it expects one, and gets the answer it expects."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.server_process import ServerProcess

DOOR = "/api/v1/events"
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


def usage_event(number: int, tokens: float = 2.5) -> CloudEvent:
    attributes = {
        "id": f"event-{number}",
        "source": "/tests",
        "type": "api.request",
        "subject": "acme",
        "time": datetime.now(UTC),
    }
    return CloudEvent(attributes, {"tokens": tokens})


def test_events_made_by_their_own_library_are_taken_and_counted(tmp_path: Path) -> None:
    """One event in structured mode and several as a batch each get 204 and no body; repeats count once."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("tokens", "$.tokens")
        one = to_structured_event(usage_event(0))
        # The library has no batch mode of its own: a batch is the JSON array of its events.
        many = b"[" + b",".join(bytes(JSONFormat().write(usage_event(number))) for number in range(1, 20)) + b"]"
        for _ in range(2):
            for body, headers in ((one.body, one.headers), (many, BATCH)):
                answer = server.client.post(DOOR, content=body, headers=headers)
                assert (answer.status_code, answer.content) == (204, b""), answer.text
        server.wait_until_counted()
        assert server.usage("tokens") == {"acme": 20 * Decimal("2.5")}
