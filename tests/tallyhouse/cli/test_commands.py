"""The commands as a user types them, against a fake server."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

KEY = {
    "id": "ckey",
    "name": "laptop",
    "mode": "live",
    "prefix": "ak_live_abcd",
    "scopes": ["ingest", "read"],
    "created_at": "2026-11-21T12:00:00Z",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
}
LAST_PAGE = {"has_more": False, "next_cursor": None}
PARTITIONS = [
    {"partition": 0, "state": "counting", "flush": 9, "lag_frames": 0},
    {"partition": 1, "state": "stuck: flush 7 (frames 40 to 52) has been failing", "flush": 6, "lag_frames": 5},
]


class Handler(BaseHTTPRequestHandler):
    """Answers from a table and records the requests."""

    answers: ClassVar[dict[str, tuple[int, dict[str, Any]]]] = {
        "GET /v1/keys": (200, {"success": True, "api_keys": [KEY], "pagination": LAST_PAGE}),
        "POST /v1/keys": (201, {"success": True, "api_key": {**KEY, "token": "ak_live_new"}}),
        "POST /v1/keys/ckey/revoke": (200, {"success": True, "api_key": KEY}),
        "GET /v1/meters": (200, {"success": True, "meters": [], "pagination": LAST_PAGE}),
        "POST /v1/meters": (201, {"success": True, "meter": {"code": "tokens"}}),
        "GET /v1/status": (200, {"success": True, "status": {"partitions": PARTITIONS, "lag_frames": 5}}),
        "GET /v1/usage": (
            401,
            {"success": False, "error": {"code": "INVALID_API_KEY", "message": "Invalid API key"}},
        ),
    }
    requests: ClassVar[list[tuple[str, str, Any]]]

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        what = f"{self.command} {self.path.split('?')[0]}"
        type(self).requests.append((what, self.headers["Authorization"], body))
        status, document = self.answers[what]
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_parts: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    class RecordingHandler(Handler):
        """One server's records."""

        requests: ClassVar[list[tuple[str, str, Any]]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), RecordingHandler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", RecordingHandler.requests
        running.shutdown()
        thread.join()


def tallyhouse(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
    return subprocess.run(
        [sys.executable, "-m", "tallyhouse", *words],
        env=clean | {f"TALLYHOUSE_{name}": value for name, value in environ.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_listing_prints_a_table_or_json(server: tuple[str, list[Any]]) -> None:
    url, requests = server
    shown = tallyhouse("keys", "list", URL=url, API_KEY="ak_live_mine")
    assert shown.returncode == 0, shown.stderr
    assert "laptop" in shown.stdout
    assert requests == [("GET /v1/keys", "Bearer ak_live_mine", None)]
    finished = tallyhouse("keys", "list", "--json", "--url", url, "--key", "ak_live_mine")
    assert json.loads(finished.stdout) == [KEY]


def test_the_status_prints_the_reason_of_a_stuck_partition_on_a_line_of_its_own(server: tuple[str, list[Any]]) -> None:
    """The table stays narrow; the whole sentence is below it, and in the JSON."""
    url, _ = server
    table, why, *rest = tallyhouse("status", URL=url, API_KEY="ak_live_mine").stdout.split("partition ")[1:]
    assert "counting" in table
    assert "stuck" in table
    assert "has been failing" not in table
    assert why.splitlines() == ["1 is stuck: flush 7 (frames 40 to 52) has been failing", "lag frames: 5"]
    assert rest == []
    finished = tallyhouse("status", "--json", URL=url, API_KEY="ak_live_mine")
    assert json.loads(finished.stdout)["partitions"] == PARTITIONS


def test_a_new_key_is_all_that_is_printed(server: tuple[str, list[Any]]) -> None:
    """A script can capture it."""
    url, requests = server
    made = tallyhouse("keys", "create", "ci", "--scope", "ingest", "--scope", "read", URL=url, API_KEY="ak_live_mine")
    assert made.stdout == "ak_live_new\n"
    assert requests[0][2] == {"name": "ci", "scopes": ["ingest", "read"]}
    assert tallyhouse("keys", "revoke", "ckey", URL=url, API_KEY="ak_live_mine").returncode == 0


def test_a_key_may_expire(server: tuple[str, list[Any]]) -> None:
    """The option is a duration, the request has a time."""
    url, requests = server
    options = ["--scope", "read", "--expires-in"]
    before = datetime.now(UTC)
    assert tallyhouse("keys", "create", "ci", *options, "90d", URL=url, API_KEY="ak_live_mine").returncode == 0
    ends = datetime.fromisoformat(requests[0][2]["expires_at"])
    assert before + timedelta(days=90) <= ends <= datetime.now(UTC) + timedelta(days=90)
    for wrong in ("soon", "999999999d"):
        refused = tallyhouse("keys", "create", "ci", *options, wrong, URL=url, API_KEY="ak_live_mine")
        assert (refused.returncode, "such as 90d" in refused.stderr) == (1, True)


def test_a_meter_is_described_by_options(server: tuple[str, list[Any]]) -> None:
    """Values of filters are JSON, or plain text."""
    url, requests = server
    options = ["--event-name", "api.request", "--aggregation", "sum", "--value", "$.tokens", "--group", "model=$.model"]
    conditions = ["--filter", "$.region eq eu", "--filter", "$.size gt 3"]
    made = tallyhouse("meters", "create", "tokens", *options, *conditions, URL=url, API_KEY="ak_live_mine")
    assert made.returncode == 0, made.stderr
    assert requests[0][2] == {
        "code": "tokens",
        "name": "tokens",
        "event_name": "api.request",
        "aggregation": "sum",
        "value_property": "$.tokens",
        "group_by": {"model": "$.model"},
        "filters": [
            {"property": "$.region", "op": "eq", "value": "eu"},
            {"property": "$.size", "op": "gt", "value": 3},
        ],
    }


def test_the_key_file_of_the_data_directory_is_used(server: tuple[str, list[Any]], tmp_path: Path) -> None:
    """On the server's machine no key needs to be given."""
    url, requests = server
    (tmp_path / "api_key").write_text("ak_live_first\n")
    assert tallyhouse("status", URL=url, DATA_DIR=str(tmp_path)).returncode == 0
    assert requests[0][1] == "Bearer ak_live_first"


def test_a_mistake_prints_one_line_and_no_traceback(server: tuple[str, list[Any]], tmp_path: Path) -> None:
    """The exit code is 1."""
    url, _ = server
    finished = {
        "INVALID_API_KEY": tallyhouse("usage", "tokens", URL=url, API_KEY="ak_live_bad"),
        "no API key": tallyhouse("status", URL=url, DATA_DIR=str(tmp_path)),
        "nothing answers at": tallyhouse("status", URL="http://127.0.0.1:1", API_KEY="ak_live_x"),
    }
    for words, run in finished.items():
        assert words in run.stderr
        assert "Traceback" not in run.stderr
        assert (run.returncode, run.stdout) == (1, "")


def test_invalid_settings_are_reported_together() -> None:
    """The exit code is 2."""
    run = tallyhouse("settings", PORT="http", PARTITION="4", BOOTSTRAP_API_KEY="hunter2")
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 3
    assert "did you mean TALLYHOUSE_PARTITIONS?" in run.stderr
    assert "hunter2" not in run.stderr


def test_settings_hide_secrets() -> None:
    """Users paste this output into tickets."""
    run = tallyhouse("settings", "--json", API_KEY="ak_live_sesame")
    assert "sesame" not in run.stdout
    assert {row["variable"] for row in json.loads(run.stdout)} >= {"TALLYHOUSE_PORT", "TALLYHOUSE_API_KEY"}


def test_the_command_tree_loads_no_library_of_a_process() -> None:
    """Only the commands that run processes load their libraries, so that every other command starts at once."""
    script = (
        "import sys, tallyhouse.cli.app as app; app.build();"
        "print(sorted({'chdb', 'numpy', 'pyarrow', 'structlog', 'uvicorn', 'uvloop'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_the_package_of_the_commands_loads_none_of_them() -> None:
    """Processes that are not commands may import a module of the package."""
    script = "import sys, tallyhouse.cli; print([name for name in sys.modules if name.startswith('tallyhouse.cli.')])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
