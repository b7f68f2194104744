"""Billing with the `tallyhouse` command alone: from a customer to an invoice that its audit confirms."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.billing_scenario import METER, PLAN
from tests.server_process import KEY, ROOT, ServerProcess

METER_OPTIONS = ["--event-name", "api.request", "--aggregation", "sum", "--value", "$.tokens"]
MONTHLY_PLAN = {
    "code": "pro",
    "name": "Pro",
    "currency": "USD",
    "interval": "month",
    "fixed_fees": [{"code": "base", "name": "Base fee", "amount_cents": 2900, "timing": "advance"}],
    "usage_prices": [
        {"code": "tokens", "name": "Tokens", "meter": "tokens", "price": {"model": "per_unit", "unit_price": "0.002"}}
    ],
}


class Shell:
    """Runs `tallyhouse …` against one server."""

    def __init__(self, url: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
        self._environ = clean | {"TALLYHOUSE_URL": url, "TALLYHOUSE_API_KEY": KEY}

    def text_of(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """What the command prints for people, on both streams."""
        command = [sys.executable, "-m", "tallyhouse", *words]
        done = subprocess.run(
            command, env=self._environ, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def found(self, *words: str) -> Any:
        """What the command prints with `--json`."""
        return json.loads(self.text_of(*words, "--json"))


@pytest.mark.long
def test_a_customer_is_billed_by_command(tmp_path: Path) -> None:
    """Covers every command on the way, with and without `--json`."""
    with ServerProcess(tmp_path / "data") as server:
        server.post("/v1/meters", METER, expect=201)
        shell = Shell(server.url)
        (customer,) = shell.found("customers", "create", "--name", "Acme", "--email", "a@acme.example")
        assert customer["id"] in shell.text_of("customers", "list")
        assert shell.found("customers", "show", customer["id"]) == customer
        assert shell.found("customers", "search", "--email", "a@acme.example") == [customer]
        assert "weekly" in shell.text_of("plans", "create", "-", stdin=json.dumps(PLAN))
        assert "weekly" in shell.text_of("plans", "list")
        start = (datetime.now(UTC) - timedelta(days=8)).isoformat()
        (made,) = shell.found("subscriptions", "create", customer["id"], "weekly", "--start", start)
        assert made["status"] == "active"
        assert "Base fee" in shell.text_of("subscriptions", "upcoming", made["id"])
        assert shell.found("invoices", "run", "--dry-run")["invoices"] == 1
        run = shell.found("invoices", "run")
        assert (run["state"], run["turns"]) == ("done", 2)
        assert "done" in shell.text_of("invoices", "run")
        invoice = shell.found("invoices", "list", "--customer", customer["id"])[0]
        assert "draft" in shell.text_of("invoices", "list", "--status", "draft")
        assert "INV-0001" in shell.text_of("invoices", "finalize", invoice["id"])
        assert "Base fee" in shell.text_of("invoices", "show", invoice["id"])
        assert "is right" in shell.text_of("audit", invoice["id"])
        assert "paid" in shell.text_of("invoices", "pay", invoice["id"])
        assert "INVOICE_IS_PAID" in shell.text_of("invoices", "void", invoice["id"], code=1)
        (ended,) = shell.found("subscriptions", "cancel", made["id"], "--now", "--refund")
        assert ended["status"] == "canceled"
        assert shell.found("subscriptions", "list")[0]["id"] == made["id"]


@pytest.mark.long
def test_usage_of_last_month_becomes_an_invoice_with_a_hosted_page(tmp_path: Path) -> None:
    """The key of the first start may post events of any age, so a new installation bills last month at once."""
    this_month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = (this_month - timedelta(days=1)).replace(day=1)
    with ServerProcess(tmp_path / "data") as server:
        shell = Shell(server.url)
        shell.text_of("meters", "create", "tokens", *METER_OPTIONS)
        shell.text_of("plans", "create", "-", stdin=json.dumps(MONTHLY_PLAN))
        (customer,) = shell.found("customers", "create", "--name", "Acme Corp")
        server.post("/v1/events/ingest", {"events": [_event(customer["id"], day, start) for day in range(20)]})
        server.wait_until_counted()
        period = ("--from", start.isoformat(), "--to", this_month.isoformat())
        assert [row["value"] for row in shell.found("usage", "tokens", *period)["usage"]] == ["30000"]
        shell.text_of("subscriptions", "create", customer["id"], "pro", "--start", start.isoformat())
        assert "`tallyhouse invoices list`" in shell.text_of("invoices", "run")
        invoices = shell.found("invoices", "list", "--customer", customer["id"])
        (invoice,) = [one for one in invoices if any(line["usage"] for line in one["line_items"])]
        printed = shell.text_of("invoices", "finalize", invoice["id"])
        hosted_page = re.search(r"^hosted page: (http\S+)$", printed, re.MULTILINE)
        assert hosted_page is not None, printed
        assert hosted_page[0] in shell.text_of("invoices", "show", invoice["id"])
        page = httpx.get(hosted_page[1])
        assert page.status_code == 200
        assert [text in page.text for text in ("INV-0001", "Tokens", "60.00")] == [True] * 3


def _event(customer: str, day: int, start: datetime) -> dict[str, Any]:
    return {
        "event_name": "api.request",
        "idempotency_key": f"day_{day}",
        "customer_id": customer,
        "timestamp": (start + timedelta(days=day)).isoformat(),
        "properties": {"tokens": 1500},
    }
