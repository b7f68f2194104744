"""The worker beside the gateway: its end is not the gateway's, and the gateway's end is its own."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.server_process import ServerProcess, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not show its processes")

EVENTS = 200
AT = datetime.now(UTC).isoformat()


def post(server: ServerProcess, first: int) -> int:
    """How many were accepted."""
    event = {"event_name": "api.request", "customer_id": "acme", "timestamp": AT, "properties": {}}
    events = [event | {"idempotency_key": str(number)} for number in range(first, first + EVENTS)]
    accepted: int = server.post("/v1/events/ingest", {"events": events})["accepted"]
    return accepted


def is_alive(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_events_are_taken_in_while_the_worker_is_started_again(tmp_path: Path) -> None:
    """It is told that nothing is counted meanwhile; then all of it is, once."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        assert post(server, 0) == EVENTS
        server.wait_until_counted()
        killed = server.worker
        os.kill(killed, signal.SIGKILL)
        wait_until("its end", lambda: not Path(f"/proc/{killed}").exists())
        assert {partition["state"] for partition in server.get("/v1/status")["status"]["partitions"]} == {"booting"}
        assert post(server, EVENTS) == EVENTS
        assert post(server, 0) == 0
        wait_until("the next one", lambda: server.client.get("/readyz").status_code == 200)
        assert server.worker != killed
        server.wait_until_counted()
        assert server.total("calls") == 2 * EVENTS
        assert post(server, 0) == post(server, EVENTS) == 0
        assert server.stop() == 0


def test_a_worker_that_hangs_keeps_no_event_out(tmp_path: Path) -> None:
    """It is told that it is silent; and it goes on where it was, with nothing lost or counted twice."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        assert post(server, 0) == EVENTS
        server.wait_until_counted()
        os.kill(server.worker, signal.SIGSTOP)
        try:
            assert post(server, EVENTS) == EVENTS
            assert post(server, EVENTS) == post(server, 0) == 0
            wait_until("its silence to be noticed", lambda: _checks(server).get("processors") == "failed")
            assert post(server, 2 * EVENTS) == EVENTS
        finally:
            os.kill(server.worker, signal.SIGCONT)
        server.wait_until_counted()
        assert server.total("calls") == 3 * EVENTS
        assert server.client.get("/readyz").status_code == 200


def _checks(server: ServerProcess) -> dict[str, str]:
    """What does not work, by the word of the readiness page."""
    answer = server.client.get("/readyz").json()
    details: dict[str, str] = answer["error"]["details"] if "error" in answer else {}
    return details


def test_a_killed_gateway_takes_its_worker_along(tmp_path: Path) -> None:
    """The next start waits for that, for no two may count in one directory, and goes on where it ended."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        for start in range(3):
            assert post(server, start * EVENTS) == EVENTS
            worker = server.worker
            server.kill()
            server.start()
            assert not is_alive(worker)
        server.wait_until_counted()
        assert server.total("calls") == 3 * EVENTS


@pytest.mark.parametrize("stop", [ServerProcess.stop, ServerProcess.interrupt])
def test_a_stop_ends_both(tmp_path: Path, stop: Callable[[ServerProcess], int]) -> None:
    """What was being counted is finished first, whoever else hears of it."""
    with ServerProcess(tmp_path / "data", flush_linger="0s") as server:
        server.make_meter("calls")
        post(server, 0)
        worker = server.worker
        assert stop(server) == 0
        assert not is_alive(worker)
        assert "stopping: finishing what is being counted" in server.output()
        assert "Traceback" not in server.output()
        server.start()
        server.wait_until_counted()
        assert server.total("calls") == EVENTS


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    """And so does the gateway end: a store of another log is nobody's to count into."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        post(server, 0)
        server.wait_until_counted()
        assert server.stop() == 0
        for file in server.data.glob("log.sqlite*"):
            file.unlink()
        with pytest.raises(AssertionError, match="the server ended"):
            server.start()
        *_, why, end = server.output().splitlines()
        assert "the worker could not start" in end
        assert "log" in why
        assert "Traceback" not in server.output()


def test_its_numbers_are_on_the_gateways_page(tmp_path: Path) -> None:
    """Whoever collects them asks one process."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        post(server, 0)
        server.wait_until_counted()

        def number(name: str) -> float:
            lines = server.client.get("/metrics").text.splitlines()
            return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"tallyhouse_{name}"))

        wait_until("the flushes to be told", lambda: number("flush_size_events_sum") == EVENTS)
        assert number("flush_total{") >= 1
        assert number("worker_memory_bytes ") > 10**7
        assert 'partition_lag_frames{partition="0"}' in server.client.get("/metrics").text


def test_neither_loads_what_it_has_no_use_for(tmp_path: Path) -> None:
    """A library that another one finds by itself would take 40 MB of each."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        assert post(server, 0) == EVENTS
        server.wait_until_counted()
        assert server.total("calls") == EVENTS
        for process in (server.pid, server.worker):
            libraries = Path(f"/proc/{process}/maps").read_text()
            assert "/pyarrow/" in libraries
            assert "/pandas/" not in libraries
        assert server.stop() == 0
