"""Clients that post everything several times at once: each event counts once, and no answer claims too much."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.posting import Answer, post_all
from tests.server_process import ServerProcess, wait_until

BATCHES = 60
BATCH = 50
TIMES = 3
EVENTS = BATCHES * BATCH


def batch(number: int, now: str, value: str = "0.7") -> bytes:
    return json.dumps(
        {
            "events": [
                {
                    "event_name": "api.request",
                    "idempotency_key": f"{number}-{place}",
                    "customer_id": f"customer_{place % 3}",
                    "timestamp": now,
                    "properties": {"tokens": value},
                }
                for place in range(BATCH)
            ]
        }
    ).encode()


@pytest.mark.long
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_storm_of_retries_counts_each_event_once(tmp_path: Path, end: str) -> None:
    """Posted three times at once, again after a restart, then with other bodies: the total stays exact."""
    now = datetime.now(UTC).isoformat()
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("tokens", "$.tokens")
        bodies = [batch(number, now) for number in range(BATCHES)]
        storm = post_all(server.url, [body for body in bodies for _ in range(TIMES)], connections=12)
        _check_repeats(storm)
        # One gateway that has not restarted knows every key it made durable.
        assert sum(answer["accepted"] for answer in storm) == EVENTS
        # At once, so that a killed server has events that no flush has counted.
        server.kill() if end == "kill" else server.stop()
        server.start()
        _check_repeats(post_all(server.url, bodies, connections=4))
        wait_until("a repeat to be answered as duplicates", lambda: _is_known(server, bodies[0]))
        conflicts = [_post_conflicts(server, batch(number, now, "0.8")) for number in range(BATCHES)]
        server.wait_until_counted()
        assert server.total("tokens") == EVENTS * Decimal("0.7")
        # A conflict is refused, or accepted and kept as a reject; it never counts.
        assert _rejected_keys(server) == sorted(key for accepted in conflicts for key in accepted)


def _check_repeats(answers: Sequence[Answer]) -> None:
    """Each event is accepted or a duplicate; the same body is never a conflict."""
    for answer in answers:
        assert answer["accepted"] + answer["duplicates"] == BATCH
        assert answer["rejected"] == []


def _is_known(server: ServerProcess, body: bytes) -> bool:
    (answer,) = post_all(server.url, [body], connections=1)
    return (answer["accepted"], answer["duplicates"]) == (0, BATCH)


def _post_conflicts(server: ServerProcess, body: bytes) -> list[str]:
    """The keys that were accepted because no lookup answered; all others must be refused as conflicts."""
    reply = server.client.post("/v1/events/ingest", content=body)
    answer: dict[str, Any] = reply.json()
    if reply.status_code == 400:
        refused = answer["error"]["details"]
        assert len(refused) == BATCH
    else:
        assert reply.status_code == 200, reply.text
        assert answer["duplicates"] == 0
        refused = answer["rejected"]
        assert answer["accepted"] + len(refused) == BATCH
    assert {each["code"] for each in refused} <= {"IDEMPOTENCY_CONFLICT"}
    keys = {event["idempotency_key"] for event in json.loads(body)["events"]}
    return sorted(keys - {each["idempotency_key"] for each in refused})


def _rejected_keys(server: ServerProcess) -> list[str]:
    keys: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = server.get("/v1/rejects", code="IDEMPOTENCY_CONFLICT", limit=1000, **cursor)
        keys += [reject["idempotency_key"] for reject in page["rejects"]]
        if not page["pagination"]["has_more"]:
            return sorted(keys)
        cursor = {"cursor": page["pagination"]["next_cursor"]}
