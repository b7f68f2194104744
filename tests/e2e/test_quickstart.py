"""The first minutes with Tallyhouse: the printed commands work, and so does the published quickstart."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.published_requests import QUICKSTART, QUICKSTART_CUSTOMER, QUICKSTART_ID, QUICKSTART_INVOICE
from tests.serve_terminal import pasted, serve_terminal
from tests.server_process import wait_until


def test_the_first_start_shows_key_and_commands_and_later_starts_show_where_things_are(tmp_path: Path) -> None:
    """The commands work as they are printed. The next start prints two lines and answers the same usage."""
    data = tmp_path / "data"
    with serve_terminal(data, tmp_path / "first") as terminal:
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
    with serve_terminal(data, tmp_path / "second") as again:
        assert (again.first_key, again.commands) == (None, [])
        assert terminal.first_key not in again.text
        headline, places = [line for line in again.text.splitlines() if "counting at" in line or "/docs" in line]
        assert headline == f"Tallyhouse is counting at {again.url}, data in {data}"
        assert places == f"API reference: {again.url}/docs, API key: kept in {data / 'api_key'}"
        assert (data / "api_key").read_text().strip() == terminal.first_key
        assert stat.S_IMODE((data / "api_key").stat().st_mode) == 0o600
        repeated = question.replace(terminal.url, again.url)
        wait_until("the partitions to be read again", lambda: bool(pasted(repeated)["usage"]))
        assert pasted(repeated)["usage"] == usage
        assert again.interrupt() == 0
        assert "Traceback" not in again.text


@pytest.mark.long
def test_the_published_quickstart_works_literally(tmp_path: Path) -> None:
    """Its event is years old. The first key may post it, it is counted, and its retry is a duplicate."""
    with serve_terminal(tmp_path / "data", tmp_path / "screen") as terminal:
        headers = {"Authorization": f"Bearer {terminal.first_key}", "Content-Type": "application/json"}
        with httpx.Client(base_url=terminal.url, headers=headers, timeout=30) as client:
            meter = {"code": "tokens", "name": "Tokens", "event_name": "api.request", "aggregation": "sum"}
            assert client.post("/v1/meters", json=meter | {"value_property": "$.tokens"}).status_code == 201
            first, retry = (client.post("/v1/events/ingest", content=QUICKSTART) for _ in range(2))
            response = first.json()
            assert (first.status_code, response["success"], response["accepted"]) == (200, True, 1)
            assert re.fullmatch(r"req_[A-Za-z0-9]+", response["request_id"])
            assert (retry.json()["accepted"], retry.json()["duplicates"]) == (0, 1)
            params = {
                "meter": "tokens",
                "from": "2024-01-01T00:00:00Z",
                "to": "2024-02-01T00:00:00Z",
                "window": "month",
            }
            wait_until("the event to be counted", lambda: bool(client.get("/v1/usage", params=params).json()["usage"]))
            (row,) = client.get("/v1/usage", params=params).json()["usage"]
            assert (row["customer_id"], row["value"]) == ("cm5x9z8nv0000h85r7l9p2k1m", "150")


@pytest.mark.long
def test_the_published_way_to_an_invoice_works_literally(tmp_path: Path) -> None:
    """All four steps in order, with the ids of this run, up to the hosted page."""
    with serve_terminal(tmp_path / "data", tmp_path / "screen") as terminal:
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
