"""Billing by command alone, as somebody types it: from a customer to an invoice that an audit finds right."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.billing_scenario import METER, PLAN
from tests.server_process import KEY, ROOT, ServerProcess


class Shell:
    """`tallyhouse …` against one server."""

    def __init__(self, url: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")}
        self._environ = kept | {"TALLYHOUSE_URL": url, "TALLYHOUSE_API_KEY": KEY}

    def text_of(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """What it prints for people."""
        command = [sys.executable, "-m", "tallyhouse", *words]
        done = subprocess.run(
            command, env=self._environ, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def found(self, *words: str) -> Any:
        """What it prints for programs."""
        return json.loads(self.text_of(*words, "--json"))


def test_a_customer_is_billed_by_command(tmp_path: Path) -> None:
    """Every command on the way, in both forms where it has two."""
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
