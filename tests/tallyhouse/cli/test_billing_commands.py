"""The billing commands: the request of each one, the progress of a run, and JSON output."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from tallyhouse.cli.app import build

COMMAND = Path(sys.executable).with_name("tallyhouse")
THING = {"id": "cthing", "code": "pro", "status": "active", "line_items": [], "url": "https://bill.example/subscribe/t"}
RUN = {
    "id": "crun",
    "state": "running",
    "as_of": "2027-02-01T00:00:00Z",
    "due": 4,
    "turns": 0,
    "invoices": 3,
    "totals": {"USD": 4200},
    "waiting": [],
    "error": None,
}
OBJECTS = ("customer", "plan", "plan_version", "subscription", "invoice", "credit_grant", "credit_note")
LISTS = ("customers", "plans", "subscriptions", "invoices", "balances", "entries")
ANYTHING: dict[str, Any] = {
    "success": True,
    "id": "cthing",
    "deleted": True,
    "old_subscription": THING,
    "new_subscription": THING,
    "subscription_signup_link": THING,
    "upcoming_invoice": THING,
    "audit": {"lines": [], "invoice_number": "INV-0001", "right": True},
    "pagination": {"has_more": False, "next_cursor": None},
    **dict.fromkeys(OBJECTS, THING),
    **{name: [THING] for name in LISTS},
}


class BillingHandler(BaseHTTPRequestHandler):
    """Answers every request with the same document, a run with its next state; records the requests."""

    requests: ClassVar[list[tuple[str, Any]]]
    run_states: ClassVar[list[dict[str, Any]]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.requests.append((f"{self.command} {self.path}", json.loads(body) if body else None))
        run = {"invoice_run": self.run_states.pop(0)} if "invoice-runs" in self.path else {}
        content = json.dumps(ANYTHING | run).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_parts: object) -> None:
        """Quiet."""


class FakeApi:
    """The server's address, the requests it received, and the states that its runs still pass through."""

    def __init__(self, url: str, handler: type[BillingHandler]) -> None:
        self.requests = handler.requests
        self.run_states = handler.run_states
        self.environ = {"TALLYHOUSE_URL": url, "TALLYHOUSE_API_KEY": "ak_live_mine"}


@pytest.fixture
def server() -> Iterator[FakeApi]:
    class RecordingHandler(BillingHandler):
        """One server's records."""

        requests: ClassVar[list[tuple[str, Any]]] = []
        run_states: ClassVar[list[dict[str, Any]]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), RecordingHandler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield FakeApi(f"http://127.0.0.1:{running.server_port}", RecordingHandler)
        running.shutdown()
        thread.join()


REQUESTS: list[tuple[str, str, Any]] = [
    ("customers create --name Acme --currency EUR", "POST /v1/customers", {"name": "Acme", "currency": "EUR"}),
    ("customers list", "GET /v1/customers", None),
    ("customers search --email a@b.c", "GET /v1/customers/search?email=a%40b.c", None),
    ("customers show c1", "GET /v1/customers/c1", None),
    ("customers balances c1", "GET /v1/customers/c1/balances", None),
    ("customers delete c1", "DELETE /v1/customers/c1", None),
    ("plans list", "GET /v1/plans", None),
    ("plans show pro", "GET /v1/plans/pro", None),
    ("plans publish pro 2", "POST /v1/plans/pro/versions/2/publish", {}),
    ("plans archive pro", "DELETE /v1/plans/pro", None),
    ("subscriptions list --customer c1", "GET /v1/subscriptions?customer_id=c1", None),
    ("subscriptions show s1", "GET /v1/subscriptions/s1", None),
    (
        "subscriptions create c1 pro --pending --anchor-day 31",
        "POST /v1/subscriptions",
        {"customer_id": "c1", "plan_code": "pro", "initial_status": "pending", "billing_anchor_day": 31},
    ),
    (
        "subscriptions change-plan s1 team --now",
        "POST /v1/subscriptions/s1/change-plan",
        {"target_plan_code": "team", "change_mode": "now"},
    ),
    (
        "subscriptions grant s1 Welcome 12.5 --currency usd",
        "POST /v1/subscriptions/s1/credit-grants",
        {"name": "Welcome", "amount": "12.5", "currency_code": "usd"},
    ),
    (
        "subscriptions link c1 pro",
        "POST /v1/subscription-signup-links",
        {"customer_id": "c1", "plan_code": "pro"},
    ),
    ("subscriptions cancel s1", "POST /v1/subscriptions/s1/cancel", {"cancel_mode": "end_of_period"}),
    ("subscriptions upcoming s1", "GET /v1/subscriptions/s1/upcoming-invoice", None),
    ("invoices list --status open", "GET /v1/invoices?status=open", None),
    ("invoices show i1", "GET /v1/invoices/i1", None),
    ("invoices finalize i1", "POST /v1/invoices/i1/finalize", {}),
    ("invoices void i1", "POST /v1/invoices/i1/void", {}),
    ("invoices pay i1", "POST /v1/invoices/i1/pay", {}),
    ("invoices uncollectible i1", "POST /v1/invoices/i1/mark-uncollectible", {}),
    (
        "invoices credit i1 --cents 5 --reason late",
        "POST /v1/invoices/i1/credit-notes",
        {"amount_cents": 5, "reason": "late"},
    ),
    ("audit i1", "GET /v1/invoices/i1/audit", None),
    ("changes --of i1", "GET /v1/audit?subject=i1", None),
]


@pytest.mark.parametrize(("words", "request_line", "body"), REQUESTS)
def test_a_command_sends_one_request_and_prints_a_table_or_json(
    server: FakeApi, words: str, request_line: str, body: Any
) -> None:
    """The request is the same with and without `--json`."""
    for option in ([], ["--json"]):
        done = CliRunner().invoke(build(), [*words.split(), *option], env=server.environ)
        assert done.exit_code == 0, done.output
        assert done.stdout
        if option:
            json.loads(done.stdout)
    assert server.requests == [(request_line, body)] * 2


def test_every_command_that_queries_the_api_takes_json() -> None:
    tree = typer.main.get_command(build())
    groups = ("keys", "meters", "customers", "plans", "subscriptions", "invoices")
    querying = [*_commands(tree, *groups), *_commands(tree, "audit", "changes", "usage", "status")]
    without = [" ".join(path) for path, one in querying if "--json" not in _options(one)]
    assert without == ["keys bootstrap"]  # It queries no API, and prints only a secret.


def _commands(tree: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in names:
        found = tree.commands[name]
        inner = getattr(found, "commands", None)
        yield from ([((name, each), inner[each]) for each in inner] if inner else [((name,), found)])


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def test_a_run_is_followed_with_a_bar_and_ends_in_a_summary(server: FakeApi) -> None:
    """On a terminal the bar moves with the turns and the totals follow; with `--json` only JSON is printed."""
    words = [str(COMMAND), "invoices", "run", "--as-of", "2027-02-01T00:00:00Z", "--dry-run"]
    steps = [RUN, RUN | {"turns": 2}, RUN | {"turns": 4, "state": "done"}]
    server.run_states += steps
    environ = {**os.environ, **server.environ, "COLUMNS": "120"}
    on_screen = environ | {"FORCE_COLOR": "1"}
    shown = subprocess.run(words, env=on_screen, capture_output=True, text=True, timeout=60, check=True)
    assert server.requests[0] == ("POST /v1/invoice-runs", {"dry_run": True, "as_of": "2027-02-01T00:00:00Z"})
    assert server.requests[1:] == [("GET /v1/invoice-runs/crun", None)] * 2
    assert [text in shown.stderr for text in ("billing", "━", " 50%", "100%")] == [True] * 4
    assert [text in shown.stdout for text in ("done", "USD=4200")] == [True] * 2
    server.run_states += steps
    printed = subprocess.run([*words, "--json"], env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(printed.stdout)["turns"] == 4
    assert "billing" not in printed.stderr


def test_a_failed_run_prints_its_error_and_the_waiting_subscriptions(server: FakeApi) -> None:
    """The exit code is 1."""
    server.run_states.append(RUN | {"state": "failed", "error": "StoreFailed: gone", "waiting": ["csub: no meter"]})
    done = CliRunner().invoke(build(), ["invoices", "run"], env=server.environ)
    assert done.exit_code == 1
    assert "failed: StoreFailed: gone" in done.stderr
    assert "waiting: csub: no meter" in done.stderr


@pytest.mark.parametrize(
    ("words", "completed"), [("tallyhouse inv", ["invoices"]), ("tallyhouse audit --js", ["--json"])]
)
def test_the_shell_completes_commands_and_options(words: str, completed: list[str]) -> None:
    """As the script of `--show-completion` requests it."""
    place = str(len(words.split()) - 1)
    request = {"_TALLYHOUSE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": place}
    done = subprocess.run([COMMAND], env={**os.environ, **request}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == completed
    script = subprocess.run([COMMAND, "--show-completion", "bash"], capture_output=True, text=True, check=True)
    assert "complete -o default -F _tallyhouse_completion tallyhouse" in script.stdout
