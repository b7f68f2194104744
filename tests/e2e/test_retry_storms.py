"""Clients that send everything several times at once: it counts once, and every answer says what it was."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.posting import post_all
from tests.server_process import ServerProcess

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


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_storm_of_retries_counts_once(tmp_path: Path, end: str) -> None:
    """Sent three times at once, again after a restart, then with other bodies: one is accepted, all are told apart."""
    now = datetime.now(UTC).isoformat()
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("tokens", "$.tokens")
        bodies = [batch(number, now) for number in range(BATCHES)]
        storm = post_all(server.url, [body for body in bodies for _ in range(TIMES)], connections=12)
        assert sum(verdicts["accepted"] for verdicts in storm) == EVENTS
        assert sum(verdicts["duplicates"] for verdicts in storm) == EVENTS * (TIMES - 1)
        # At once: what is killed here has events that no flush has counted yet.
        server.kill() if end == "kill" else server.stop()
        server.start()
        late = post_all(server.url, bodies, connections=4)
        assert [(verdicts["accepted"], verdicts["duplicates"]) for verdicts in late] == [(0, BATCH)] * BATCHES
        _check_conflicts(server, [batch(number, now, "0.8") for number in range(BATCHES)])
        server.wait_until_counted()
        assert server.total("tokens") == EVENTS * Decimal("0.7")
        assert server.get("/v1/rejects")["rejects"] == []


def _check_conflicts(server: ServerProcess, others: list[bytes]) -> None:
    """Nothing of them is stored, and each event is told why."""
    for body in others:
        answer = server.client.post("/v1/events/ingest", content=body)
        assert answer.status_code == 400, answer.text
        codes = [detail["code"] for detail in answer.json()["error"]["details"]]
        assert codes == ["IDEMPOTENCY_CONFLICT"] * BATCH
