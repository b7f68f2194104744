"""The first minutes with Tallyhouse: what it prints can be pasted, and the published quickstart works as it stands."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.published_requests import QUICKSTART, QUICKSTART_CUSTOMER, QUICKSTART_ID, QUICKSTART_INVOICE
from tests.server_process import PATIENCE, free_port, wait_until
from tests.skips import skip_without

COMMAND = re.compile(r"^  curl .*(?:\n    .*)*", re.MULTILINE)
STARTED = re.compile(r"Tallyhouse is counting at (\S+), data in .*\n(?:.*\n)*?.*/docs.*\n")
FIRST_KEY = re.compile(r"^  (ak_live_\S+)$", re.MULTILINE)


class ServeTerminal:
    """`tallyhouse serve` in a terminal, with only the data directory and the port set."""

    def __init__(self, process: subprocess.Popen[bytes], shown: Path) -> None:
        self._process = process
        self._shown = shown

    @property
    def text(self) -> str:
        return self._shown.read_text()

    @property
    def commands(self) -> list[str]:
        """Creates a meter, posts an event, queries the usage."""
        return COMMAND.findall(self.text)

    @property
    def first_key(self) -> str | None:
        found = FIRST_KEY.search(self.text)
        return found[1] if found else None

    @property
    def url(self) -> str:
        started = STARTED.search(self.text)
        assert started is not None, self.text
        return started[1]

    def is_up(self) -> bool:
        assert self._process.poll() is None, f"it ended: {self.text}"
        return STARTED.search(self.text) is not None

    def interrupt(self) -> int:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)


@contextmanager
def started(data: Path, shown: Path) -> Iterator[ServeTerminal]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
    environment |= {"TALLYHOUSE_DATA_DIR": str(data), "TALLYHOUSE_PORT": str(free_port())}
    with shown.open("wb") as screen:
        program = [str(Path(sys.executable).parent / "tallyhouse"), "serve"]
        terminal = ServeTerminal(subprocess.Popen(program, env=environment, stdout=screen, stderr=screen), shown)
    try:
        wait_until("the welcome", terminal.is_up)
        yield terminal
    finally:
        terminal.end()


def pasted(command: str) -> dict[str, Any]:
    if shutil.which("curl") is None:
        skip_without("curl", "install the package `curl`")
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(run.stdout)
    assert answer["success"], answer
    return answer


def test_the_first_start_shows_key_and_commands_and_later_starts_show_where_things_are(tmp_path: Path) -> None:
    """The commands work as they are printed. The next start prints two lines and answers the same usage."""
    data = tmp_path / "data"
    with started(data, tmp_path / "first") as terminal:
        assert terminal.first_key is not None
        assert f"{terminal.url}/docs" in terminal.text
        wait_until("the commands to be shown", lambda: len(terminal.commands) == 3)
        meter, post, question = terminal.commands
        assert pasted(meter)["meter"]["code"] == "tokens"
        assert pasted(post)["accepted"] == 1
        wait_until("the event to be counted", lambda: bool(pasted(question)["usage"]))
        usage = pasted(question)["usage"]
        assert [row["value"] for row in usage] == ["12.5"]
        assert terminal.interrupt() == 0
        assert "Traceback" not in terminal.text
    with started(data, tmp_path / "second") as again:
        assert (again.first_key, again.commands) == (None, [])
        assert terminal.first_key not in again.text
        headline, places = [line for line in again.text.splitlines() if "counting at" in line or "/docs" in line]
        assert headline == f"Tallyhouse is counting at {again.url}, data in {data}"
        assert places == f"API reference: {again.url}/docs, API key: kept in {data / 'api_key'}"
        assert (data / "api_key").read_text().strip() == terminal.first_key
        repeated = question.replace(terminal.url, again.url)
        wait_until("the partitions to be read again", lambda: bool(pasted(repeated)["usage"]))
        assert pasted(repeated)["usage"] == usage
        assert again.interrupt() == 0
        assert "Traceback" not in again.text


def test_the_published_quickstart_works_to_the_letter(tmp_path: Path) -> None:
    """Its event is years old: the first key may post it, and it is counted; its retry is a duplicate."""
    with started(tmp_path / "data", tmp_path / "screen") as terminal:
        headers = {"Authorization": f"Bearer {terminal.first_key}", "Content-Type": "application/json"}
        with httpx.Client(base_url=terminal.url, headers=headers, timeout=30) as client:
            meter = {"code": "tokens", "name": "Tokens", "event_name": "api.request", "aggregation": "sum"}
            assert client.post("/v1/meters", json=meter | {"value_property": "$.tokens"}).status_code == 201
            first, retry = (client.post("/v1/events/ingest", content=QUICKSTART) for _ in range(2))
            response = first.json()
            assert (first.status_code, response["success"], response["accepted"]) == (200, True, 1)
            assert re.fullmatch(r"req_[A-Za-z0-9]+", response["request_id"])
            assert (retry.json()["accepted"], retry.json()["duplicates"]) == (0, 1)
            asked = {"meter": "tokens", "from": "2024-01-01T00:00:00Z", "to": "2024-02-01T00:00:00Z", "window": "month"}
            wait_until("the event to be counted", lambda: bool(client.get("/v1/usage", params=asked).json()["usage"]))
            (row,) = client.get("/v1/usage", params=asked).json()["usage"]
            assert (row["customer_id"], row["value"]) == ("cm5x9z8nv0000h85r7l9p2k1m", "150")


def test_the_published_way_to_an_invoice_works_to_the_letter(tmp_path: Path) -> None:
    """All four steps in their order, each with its own id put in, as the page says."""
    with started(tmp_path / "data", tmp_path / "screen") as terminal:
        headers = {"Authorization": f"Bearer {terminal.first_key}", "Content-Type": "application/json"}
        with httpx.Client(base_url=terminal.url, headers=headers, timeout=30) as client:

            def posted(path: str, body: str | None = None) -> dict[str, Any]:
                reply = client.post(path, content=body)
                response: dict[str, Any] = reply.json()
                assert reply.is_success, response
                assert response["success"] is True
                assert re.fullmatch(r"req_[A-Za-z0-9]+", response["request_id"])
                return response

            customer = posted("/v1/customers", QUICKSTART_CUSTOMER)["customer"]
            assert re.fullmatch("c[a-z0-9]{24}", customer["id"])
            assert {name: customer[name] for name in json.loads(QUICKSTART_CUSTOMER)} == json.loads(QUICKSTART_CUSTOMER)
            assert posted("/v1/events/ingest", QUICKSTART.replace(QUICKSTART_ID, customer["id"]))["accepted"] == 1
            draft = posted("/v1/invoices", QUICKSTART_INVOICE.replace(QUICKSTART_ID, customer["id"]))["invoice"]
            assert (draft["status"], draft["total_cents"], draft["customer_id"]) == ("draft", 5000, customer["id"])
            assert [line["description"] for line in draft["line_items"]] == ["API calls — Jan 2024"]
            final = posted(f"/v1/invoices/{draft['id']}/finalize")["invoice"]
            assert (final["id"], final["status"], final["invoice_number"]) == (draft["id"], "open", "INV-0001")
            page = httpx.get(final["public_invoice_url"])
            assert (page.status_code, "INV-0001" in page.text) == (200, True)
