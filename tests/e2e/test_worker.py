"""Gateway and worker: the gateway outlives its worker, and no worker outlives its gateway."""

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
    """Posts EVENTS events; returns how many were accepted."""
    event = {"event_name": "api.request", "customer_id": "acme", "timestamp": AT, "properties": {}}
    events = [event | {"idempotency_key": str(number)} for number in range(first, first + EVENTS)]
    accepted: int = server.post("/v1/events/ingest", {"events": events})["accepted"]
    return accepted


def is_alive(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_events_are_accepted_while_the_worker_restarts(tmp_path: Path) -> None:
    """The status is `booting` meanwhile; afterwards all events are counted, each once."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        assert post(server, 0) == EVENTS
        server.wait_until_counted()
        killed = server.worker
        os.kill(killed, signal.SIGKILL)
        wait_until("the worker's end", lambda: not Path(f"/proc/{killed}").exists())
        assert {partition["state"] for partition in server.get("/v1/status")["status"]["partitions"]} == {"booting"}
        assert post(server, EVENTS) == EVENTS
        assert post(server, 0) == 0
        wait_until("the next worker", lambda: server.client.get("/readyz").status_code == 200)
        assert server.worker != killed
        server.wait_until_counted()
        assert server.total("calls") == 2 * EVENTS
        assert post(server, 0) == post(server, EVENTS) == 0
        assert server.stop() == 0


@pytest.mark.long
def test_events_are_accepted_while_the_worker_hangs(tmp_path: Path) -> None:
    """Readiness reports its silence; it then continues, with nothing lost or counted twice."""
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
    """The failed checks of the readiness page."""
    answer = server.client.get("/readyz").json()
    details: dict[str, str] = answer["error"]["details"] if "error" in answer else {}
    return details


def test_a_worker_ends_with_its_killed_gateway(tmp_path: Path) -> None:
    """The next start waits for that, because only one worker may count in a directory, and loses nothing."""
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


@pytest.mark.parametrize("stop", [pytest.param(ServerProcess.stop, marks=pytest.mark.long), ServerProcess.interrupt])
def test_a_stop_ends_both(tmp_path: Path, stop: Callable[[ServerProcess], int]) -> None:
    """The running flushes are finished first, also when the signal reaches both processes."""
    with ServerProcess(tmp_path / "data", flush_linger="0s") as server:
        server.make_meter("calls")
        post(server, 0)
        worker = server.worker
        assert stop(server) == 0
        assert not is_alive(worker)
        assert "stopping: finishing the running flushes" in server.output()
        assert "Traceback" not in server.output()
        server.start()
        server.wait_until_counted()
        assert server.total("calls") == EVENTS


@pytest.mark.long
def test_a_worker_that_cannot_start_ends_the_gateway_with_the_reason(tmp_path: Path) -> None:
    """Here the usage store is of another log."""
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


def test_the_workers_metrics_are_on_the_gateways_page(tmp_path: Path) -> None:
    """A collector queries one process."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("calls")
        post(server, 0)
        server.wait_until_counted()

        def number(name: str) -> float:
            lines = server.client.get("/metrics").text.splitlines()
            return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"tallyhouse_{name}"))

        wait_until("the flushes to be reported", lambda: number("flush_size_events_sum") == EVENTS)
        assert number("flush_total{") >= 1
        assert number("worker_memory_bytes ") > 10**7
        assert 'partition_lag_frames{partition="0"}' in server.client.get("/metrics").text


@pytest.mark.long
def test_neither_process_loads_pandas(tmp_path: Path) -> None:
    """pyarrow would load it where it is installed: 40 MB in each process."""
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
