"""A full or a read-only disk: posts are refused, readiness and status name the cause, the log says it once."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attack.restored_installation import AT
from tests.server_process import ServerProcess, wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which only root may do"),
]

DISK = "160m"


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A small file system in memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def post(server: ServerProcess, number: int) -> int:
    event = {"event_name": "api.request", "customer_id": "acme", "timestamp": AT, "properties": {"x": "y" * 100}}
    body = {"events": [{**event, "idempotency_key": f"{number}.{each}"} for each in range(100)]}
    return server.client.post("/v1/events/ingest", json=body).status_code


def fill(folder: Path) -> Path:
    """Takes all the room that is left."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(64 * 1024))
                file.flush()
        except OSError:
            return filler


def lines_with(server: ServerProcess, event: str) -> list[str]:
    return [
        line for line in server.output().splitlines() if line.startswith("{") and json.loads(line)["event"] == event
    ]


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    """With room again, everything that was accepted is counted once, and the server is ready."""
    with mounted(tmp_path / "data") as disk, ServerProcess(disk) as server:
        server.make_meter("calls")
        accepted = 0
        for number in range(20):
            assert post(server, number) == 200
            accepted += 1
        server.wait_until_counted()
        filler = fill(disk)
        refused = 0
        for number in range(20, 400):
            status = post(server, number)
            assert status in (200, 503)
            accepted += status == 200
            refused += status == 503
        assert refused > 100
        wait_until("readiness to name the cause", lambda: "full" in server.client.get("/readyz").text)
        assert server.client.get("/readyz").status_code == 503
        assert "full" in server.get("/v1/status")["status"]["log"]
        assert 1 <= len(lines_with(server, "requests cannot be served")) <= 5
        assert 1 <= len(lines_with(server, "frames cannot be written: posts are refused")) <= 2
        filler.unlink()
        wait_until("readiness", lambda: server.client.get("/readyz").status_code == 200)
        assert post(server, 1_000) == 200
        server.wait_until_counted()
        assert server.total("calls") == 100 * (accepted + 1)
        wait_until("the end to be logged", lambda: bool(lines_with(server, "frames are written again")))


def test_a_read_only_disk_is_refused_at_the_start(tmp_path: Path) -> None:
    """The message names the directory and the reason."""
    with mounted(tmp_path / "data") as disk, ServerProcess(disk) as server:
        server.make_meter("calls")
        assert post(server, 0) == 200
        assert server.stop() == 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(AssertionError, match="Read-only file system"):
            server.start()
        assert "Traceback" not in server.output()
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        server.start()
        server.wait_until_counted()
        assert server.total("calls") == 100
