"""A worker that is stopped by the system: status and usage answer at once with what is known, and name the worker."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.attack.restored_installation import AT
from tests.server_process import ServerProcess, wait_until

BOUND_SECONDS = 2.0


def timed(server: ServerProcess, path: str, **params: str) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return server.client.get(path, params=params), time.monotonic() - began


@pytest.mark.long
def test_a_stopped_worker_is_named_within_two_seconds(tmp_path: Path) -> None:
    """Once status took 70 seconds and usage 133. Posts are accepted meanwhile, and counted when it continues."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        event = {"event_name": "api.request", "customer_id": "acme", "timestamp": AT, "properties": {}}
        usage = {"meter": "calls", "window": "none", "from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
        os.kill(server.worker, signal.SIGSTOP)
        try:
            longest = 0.0
            for number in range(4):
                server.post("/v1/events/ingest", {"events": [{**event, "idempotency_key": str(number)}]})
                status, seconds = timed(server, "/v1/status")
                assert status.status_code == 200
                assert any("worker" in part or "no answer" in part for part in status.json()["status"]["missing"])
                longest = max(longest, seconds)
                refused, seconds = timed(server, "/v1/usage", **usage)
                assert refused.status_code == 503
                assert "the worker" in refused.json()["error"]["message"]
                longest = max(longest, seconds)
            print(f"the longest answer took {longest:.2f} s")
            wait_until("readiness to fail", lambda: server.client.get("/readyz").status_code == 503)
        finally:
            os.kill(server.worker, signal.SIGCONT)
        assert longest < BOUND_SECONDS + 1  # One second for a machine that is busy with other tests.
        server.wait_until_counted()
        wait_until("readiness", lambda: server.client.get("/readyz").status_code == 200)
        assert server.total("calls") == 4
        assert server.get("/v1/status")["status"]["missing"] == []
