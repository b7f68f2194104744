"""`tallyhouse invoices run` and `tallyhouse audit`: bill what is due, and prove what was billed."""

import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from tallyhouse.cli import invoices
from tallyhouse.cli.client import ApiClient
from tallyhouse.cli.connecting import AsJson, Key, Url, open_api
from tallyhouse.cli.printing import print_json, print_rows

RUNS = "/v1/invoice-runs"
_POLL_SECONDS = 0.3
_SUMMARY = (
    "id",
    "state",
    "as_of",
    "turns",
    "invoices",
    "finalized",
    "held",
    "below_zero",
    "passed_by",
    "totals",
    "dropped",
)
_AUDIT = ("reference", "meter", "billed_quantity", "counted_quantity", "difference", "billed_amount_cents", "right")


def run(
    as_of: Annotated[str | None, typer.Option("--as-of", help="Bill what was due then; ISO 8601; else now.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only reckon.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Bill every period that is due, each once, however often this runs. It may be stopped and begun again."""
    body: dict[str, Any] = {"dry_run": dry_run} | ({"as_of": as_of} if as_of else {})
    with open_api(url, key) as api:
        found = _follow_run(api, api.post(RUNS, body)["invoice_run"], quiet=as_json)
    if as_json:
        print_json(found)
    else:
        print_rows([found], _SUMMARY, as_json=False)
        for one in found["waiting"]:
            Console(stderr=True, soft_wrap=True).print(f"waiting: {one}", markup=False)
        if found["error"]:
            Console(stderr=True, soft_wrap=True).print(f"failed: {found['error']}", markup=False)
    if found["state"] == "failed":
        raise typer.Exit(1)


def audit(
    invoice_id: Annotated[str, typer.Argument(help="The invoice's id.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Count an invoice's usage anew from the raw events, and show every difference; there should be none."""
    with open_api(url, key) as api:
        found = api.get(f"/v1/invoices/{invoice_id}/audit")["audit"]
    if as_json:
        print_json(found)
    else:
        print_rows(found["lines"], _AUDIT, as_json=False, if_empty="no usage on this invoice")
        verdict = "[green]right[/]" if found["right"] else "[bold red]not right[/]"
        Console(soft_wrap=True).print(f"invoice {found['invoice_number'] or found['invoice_id']} is {verdict}")
    if not found["right"]:
        raise typer.Exit(1)


def _follow_run(api: ApiClient, started: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    with Progress(console=Console(stderr=True, quiet=quiet), transient=True) as progress:
        bar = progress.add_task("billing", total=started["due"] or None)
        found = started
        while found["state"] == "running":
            time.sleep(_POLL_SECONDS)
            found = api.get(f"{RUNS}/{started['id']}")["invoice_run"]
            progress.update(bar, completed=found["turns"])
    return found


def commands() -> typer.Typer:
    """The group of `tallyhouse invoices`, runs included."""
    group = typer.Typer(no_args_is_help=True, help="List and show invoices, bill what is due.")
    group.command("list")(invoices.list_)
    group.command("show")(invoices.show)
    group.command("finalize")(invoices.finalize)
    group.command("void")(invoices.void)
    group.command("pay")(invoices.pay)
    group.command("credit")(invoices.credit)
    group.command("uncollectible")(invoices.uncollectible)
    group.command("run")(run)
    return group
