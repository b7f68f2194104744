"""`tallyhouse invoices` and `tallyhouse audit`: bill what is due, list and change invoices, verify their usage."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from tallyhouse.cli.client import ApiClient, AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.moments import checked_moment
from tallyhouse.cli.printing import print_fields, print_json, print_rows
from tallyhouse.runtime.clock import sleep
from tallyhouse.runtime.exit_codes import FAILED

ALL = "/v1/invoices"
_COLUMNS = ("id", "invoice_number", "customer_id", "status", "currency", "total_cents", "due_date", "created_at")
_LINES = ("description", "quantity", "unit_amount_cents", "total_amount_cents", "period_start", "period_end")
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

Id = Annotated[str, typer.Argument(help="The invoice's id, as `tallyhouse invoices list` shows it.")]


def list_(
    customer_id: Annotated[
        str | None, typer.Option("--customer", help="Only invoices of the customer with this id.")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", help="Only invoices in this status: draft, open, paid, void or uncollectible."),
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List all invoices, newest first."""
    given = {"customer_id": customer_id, "status": status}
    only: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with open_api(url, key) as api:
        rows = list(every_row(api, ALL, "invoices", **only))
        print_rows(rows, _COLUMNS, as_json=as_json, if_empty="no invoices yet")


def show(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show one invoice with its lines, and the address of its hosted page once it is final."""
    with open_api(url, key) as api:
        invoice = api.get(f"{ALL}/{invoice_id}")["invoice"]
    if as_json:
        print_json(invoice)
    else:
        print_invoice(invoice)


def finalize(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Finalize a draft: it gets a number and a hosted page, and never changes again."""
    _change(invoice_id, "finalize", url, key, as_json=as_json)


def void(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Void a final invoice. It keeps its number."""
    _change(invoice_id, "void", url, key, as_json=as_json)


def pay(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Record that the amount due was paid."""
    _change(invoice_id, "pay", url, key, as_json=as_json)


def uncollectible(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Mark an invoice as uncollectible: no payment is expected."""
    _change(invoice_id, "mark-uncollectible", url, key, as_json=as_json)


def credit(
    invoice_id: Id,
    amount: Annotated[
        int | None, typer.Option("--cents", help="Amount before tax, in minor units. Default: the whole amount.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Reason, printed on the credit note.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Credit a final invoice, or a part of it, with a credit note."""
    given = {"amount_cents": amount, "reason": reason}
    body = {field: value for field, value in given.items() if value is not None}
    with open_api(url, key) as api:
        print_fields(api.post(f"{ALL}/{invoice_id}/credit-notes", body)["credit_note"], as_json=as_json)


def print_invoice(invoice: dict[str, Any]) -> None:
    """Prints a table of the invoice and one of its lines; for a final invoice also the address of its hosted page."""
    print_rows([invoice], _COLUMNS, as_json=False)
    Console().print()
    print_rows(invoice["line_items"], _LINES, as_json=False, if_empty="no lines")
    _print_hosted_page(invoice)


def _change(invoice_id: str, change: str, url: str | None, key: str | None, *, as_json: bool) -> None:
    with open_api(url, key) as api:
        invoice = api.post(f"{ALL}/{invoice_id}/{change}", {})["invoice"]
    print_rows([invoice], _COLUMNS, as_json=as_json)
    if not as_json:
        _print_hosted_page(invoice)


def _print_hosted_page(invoice: dict[str, Any]) -> None:
    if address := invoice.get("public_invoice_url"):
        typer.echo(f"\nhosted page: {address}")


def run(
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Bill what was due at this time, in ISO 8601. Default: now.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only calculate; create nothing.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Bill every period that is due, each exactly once. May be interrupted and run again at any time."""
    body: dict[str, Any] = {"dry_run": dry_run} | ({"as_of": checked_moment("--as-of", as_of)} if as_of else {})
    with open_api(url, key) as api:
        found = _follow_run(api, api.post(RUNS, body)["invoice_run"], quiet=as_json)
    if as_json:
        print_json(found)
    else:
        print_rows([found], _SUMMARY, as_json=False)
        if found["invoices"] and not dry_run:
            typer.echo(
                "\n`tallyhouse invoices list` shows the invoices, `tallyhouse invoices finalize ID` makes one final"
            )
        for reason in found["waiting"]:
            Console(stderr=True, soft_wrap=True).print(f"waiting: {reason}", markup=False)
        if found["error"]:
            Console(stderr=True, soft_wrap=True).print(f"failed: {found['error']}", markup=False)
    if found["state"] == "failed":
        raise typer.Exit(FAILED)


def audit(
    invoice_id: Annotated[str, typer.Argument(help="The invoice's id.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Recount an invoice's usage from the raw events and show every difference. Exit code 1 if there is one."""
    with open_api(url, key) as api:
        found = api.get(f"/v1/invoices/{invoice_id}/audit")["audit"]
    if as_json:
        print_json(found)
    else:
        print_rows(found["lines"], _AUDIT, as_json=False, if_empty="no usage on this invoice")
        verdict = "[green]right[/]" if found["right"] else "[bold red]not right[/]"
        Console(soft_wrap=True).print(f"invoice {found['invoice_number'] or found['invoice_id']} is {verdict}")
    if not found["right"]:
        raise typer.Exit(FAILED)


def _follow_run(api: ApiClient, started: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    with Progress(console=Console(stderr=True, quiet=quiet), transient=True) as progress:
        bar = progress.add_task("billing", total=started["due"] or None)
        found = started
        while found["state"] == "running":
            sleep(_POLL_SECONDS)
            found = api.get(f"{RUNS}/{started['id']}")["invoice_run"]
            progress.update(bar, completed=found["turns"])
    return found


def commands() -> typer.Typer:
    """The group of `tallyhouse invoices`, runs included."""
    group = typer.Typer(no_args_is_help=True, help="Bill what is due; list, show and change invoices.")
    group.command("list")(list_)
    group.command("show")(show)
    group.command("finalize")(finalize)
    group.command("void")(void)
    group.command("pay")(pay)
    group.command("credit")(credit)
    group.command("uncollectible")(uncollectible)
    group.command("run")(run)
    return group
