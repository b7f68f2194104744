"""`tallyhouse verify` finds usage that was changed behind its back, and nothing on a live system that is right."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.attack.stopped_store import run_sql
from tests.server_process import KEY, ROOT, ServerProcess, wait_until

AT = datetime.now(UTC).replace(microsecond=0).isoformat()


def post(server: ServerProcess, start: int, count: int) -> None:
    events = [
        {
            "event_name": "api.request",
            "customer_id": f"c{number % 7}",
            "timestamp": AT,
            "idempotency_key": f"key_{number}",
            "properties": {"tokens": number},
        }
        for number in range(start, start + count)
    ]
    server.post("/v1/events/ingest", {"events": events})


def verify(server: ServerProcess, *options: str, code: int = 0) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
    environ = clean | {"TALLYHOUSE_URL": server.url, "TALLYHOUSE_API_KEY": KEY}
    done = subprocess.run(
        [sys.executable, "-m", "tallyhouse", "verify", "--json", *options],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def status_of(server: ServerProcess) -> dict[str, Any]:
    status: dict[str, Any] = server.get("/v1/status")["status"]
    return status


def add_wrong_row(data: Path) -> str:
    """Adds 5 tokens of the customer c3 to the files of the stopped server; returns the account."""
    month = run_sql(data, "SELECT max(month) FROM usage").strip()
    account = run_sql(data, "SELECT any(account) FROM usage WHERE meter = 'tokens'").strip()
    run_sql(
        data,
        "INSERT INTO usage (account, meter, customer_id, minute, grp, sum, count, month) "
        f"VALUES ('{account}', 'tokens', 'c3', toStartOfMinute(parseDateTimeBestEffort('{AT}')), '[]', 5, 1, {month})",
    )
    return account


def traffic(server: ServerProcess, start: int, stop: threading.Event) -> None:
    while not stop.is_set():
        post(server, start, 50)
        start += 50


@pytest.mark.long
def test_a_row_that_was_changed_behind_its_back_is_found(tmp_path: Path) -> None:
    """Traffic continues while it is right; then a row is added to the files of the stopped server."""
    data = tmp_path / "data"
    with ServerProcess(data, flush_frames="1") as server:
        server.make_meter("calls")
        server.make_meter("tokens", "$.tokens")
        post(server, 0, 2000)
        server.wait_until_counted()
        stop = threading.Event()

        poster = threading.Thread(target=traffic, args=(server, 2000, stop))
        poster.start()
        try:
            for _ in range(3):
                live = verify(server, "--rate", "0")
                assert (live["difference_count"], live["differences"], live["skipped"]) == (0, [], [])
                assert live["events"] >= 4000
        finally:
            stop.set()
            poster.join()
        server.wait_until_counted()
        wait_until("usage to be verified", lambda: status_of(server)["verification"] == "verified")
        verified_until = status_of(server)["verified_until"]
        assert verified_until >= AT[:16]
        assert server.stop() == 0
    with ServerProcess(data) as server:
        wait_until("the stored position", lambda: status_of(server)["verified_until"] == verified_until)
        assert server.stop() == 0
    account = add_wrong_row(data)
    with ServerProcess(data) as server:
        found = verify(server, code=1)
        assert found["difference_count"] == 1
        (difference,) = found["differences"]
        assert (difference["account"], difference["meter"], difference["customer_id"]) == (account, "tokens", "c3")
        assert float(difference["counted"]) - float(difference["recounted"]) == 5
        assert verify(server, "--meter", "calls")["difference_count"] == 0
        wait_until("the alarm", lambda: status_of(server)["verification"].startswith("different: 1 "))
        assert "customer c3" in status_of(server)["verification"]
        assert server.client.get("/readyz").status_code == 200
        assert "usage_differences 1" in server.client.get("/metrics").text
        assert server.output().count("usage differs from its events") == 1
