"""`tallyhouse serve`, as an operator uses it."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import load_generator
from tests.server_process import KEY, ServerProcess, free_port, wait_until

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}


def serve(data: Path, port: int, **settings: str) -> subprocess.Popen[str]:
    settings = {"DATA_DIR": str(data), "PORT": str(port), **settings}
    return subprocess.Popen(
        [sys.executable, "-m", "tallyhouse", "serve"],
        env=CLEAN | {f"TALLYHOUSE_{name}": value for name, value in settings.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_welcome(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "/v1/usage" not in lines[-1]:
        line = process.stdout.readline()
        assert line, f"the server ended after {lines}: {process.communicate()[1]}"
        lines.append(line)
    return "".join(lines)


@pytest.mark.long
def test_the_first_start_shows_a_key_and_commands_that_work(tmp_path: Path) -> None:
    """The commands work as printed. Only the owner can read the key file."""
    data = tmp_path / "data"
    process = serve(data, free_port())
    try:
        welcome = read_welcome(process)
        key_file = data / "api_key"
        assert key_file.read_text().strip() in welcome
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        meter, post, query = re.findall(r"  curl .*(?:\n    .*)*", welcome)
        assert shell(meter)["meter"]["code"] == "tokens"
        assert shell(post)["accepted"] == 1
        wait_until("the event to be counted", lambda: bool(shell(query)["usage"]))
        assert shell(query)["usage"][0]["value"] == "12.5"
    finally:
        process.terminate()
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert key_file.read_text().strip() not in complaints


def shell(command: str) -> dict[str, Any]:
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def test_a_stop_is_clean_and_the_next_start_continues(tmp_path: Path) -> None:
    """The exit code is 0, nothing is lost, and a load proves its totals on the data of earlier starts."""
    with ServerProcess(tmp_path / "data") as server:
        for start in (1, 2):
            if start > 1:
                server.start()
            report = load_generator.load(server.url, events=3000, batch=100)
            assert report["acked"] == 3000
            assert server.stop() == 0
        assert "Traceback" not in server.output()


def test_a_taken_port_and_a_locked_directory_are_reported_clearly(tmp_path: Path) -> None:
    """The error says what to do, without a traceback."""
    with ServerProcess(tmp_path / "data") as server:
        port = serve(tmp_path / "other", server.port)
        directory = serve(tmp_path / "data", free_port())
        port_error, directory_error = port.communicate(timeout=60)[1], directory.communicate(timeout=60)[1]
        assert (port.returncode, directory.returncode) == (2, 1)
        assert "TALLYHOUSE_PORT" in port_error
        assert f"in use by process {server.pid}" in directory_error
        assert "Traceback" not in port_error + directory_error


@pytest.mark.long
def test_another_number_of_partitions_is_refused(tmp_path: Path) -> None:
    """Otherwise keys would be looked up in the wrong partition."""
    with ServerProcess(tmp_path / "data", partitions="2") as server:
        assert server.stop() == 0
    process = serve(tmp_path / "data", free_port(), PARTITIONS="3", BOOTSTRAP_API_KEY=KEY)
    report = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "2" in report
    assert "Traceback" not in report


@pytest.mark.long
def test_a_restart_under_load_loses_nothing(tmp_path: Path) -> None:
    """Requests in flight at the stop are answered or retried; the load proves every value."""
    with ServerProcess(tmp_path / "data") as server:
        sending = load_generator.start(server.url, "--events=40000", "--batch=50", "--rate=8000")
        wait_until("some of the load", lambda: _accepted(server) > 5000)
        assert server.stop() == 0
        server.start()
        report = load_generator.finish(sending)
        assert report["acked"] == 40000
        assert report["errors"] > 0


def _accepted(server: ServerProcess) -> float:
    lines = server.client.get("/metrics").text.splitlines()
    name = 'tallyhouse_ingest_events_total{verdict="accepted"} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))
