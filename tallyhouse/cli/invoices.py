"""`tallyhouse invoices`: what is owed."""

from typing import Annotated, Any

import typer
from rich.console import Console

from tallyhouse.cli.connecting import AsJson, Key, Url, open_api
from tallyhouse.cli.paging import every_row
from tallyhouse.cli.printing import print_fields, print_json, print_rows

ALL = "/v1/invoices"
_COLUMNS = ("id", "invoice_number", "customer_id", "status", "currency", "total_cents", "due_date", "created_at")
_LINES = ("description", "quantity", "unit_amount_cents", "total_amount_cents", "period_start", "period_end")

Id = Annotated[str, typer.Argument(help="The id that `tallyhouse invoices list` shows.")]


def list_(
    customer_id: Annotated[str | None, typer.Option("--customer", help="Only this one's.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="draft, open, paid, void or uncollectible.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """All invoices, newest first."""
    given = {"customer_id": customer_id, "status": status}
    only: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with open_api(url, key) as api:
        rows = list(every_row(api, ALL, "invoices", **only))
        print_rows(rows, _COLUMNS, as_json=as_json, if_empty="no invoices yet")


def show(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """One invoice with its lines."""
    with open_api(url, key) as api:
        invoice = api.get(f"{ALL}/{invoice_id}")["invoice"]
    if as_json:
        print_json(invoice)
    else:
        print_invoice(invoice)


def finalize(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Number a draft, and fix it for ever."""
    _step(invoice_id, "finalize", url, key, as_json=as_json)


def void(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Take a final invoice back; its number stays."""
    _step(invoice_id, "void", url, key, as_json=as_json)


def pay(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Record that all that is due was paid."""
    _step(invoice_id, "pay", url, key, as_json=as_json)


def uncollectible(invoice_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Give it up: nobody will pay it, as far as one knows."""
    _step(invoice_id, "mark-uncollectible", url, key, as_json=as_json)


def credit(
    invoice_id: Id,
    amount: Annotated[int | None, typer.Option("--cents", help="Before tax, in minor units; else all of it.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Stands on the credit note.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Take a final invoice back, or a part of it, by a credit note."""
    given = {"amount_cents": amount, "reason": reason}
    body = {field: value for field, value in given.items() if value is not None}
    with open_api(url, key) as api:
        print_fields(api.post(f"{ALL}/{invoice_id}/credit-notes", body)["credit_note"], as_json=as_json)


def print_invoice(invoice: dict[str, Any]) -> None:
    """For people."""
    print_rows([invoice], _COLUMNS, as_json=False)
    Console().print()
    print_rows(invoice["line_items"], _LINES, as_json=False, if_empty="no lines")


def _step(invoice_id: str, step: str, url: str | None, key: str | None, *, as_json: bool) -> None:
    with open_api(url, key) as api:
        print_rows([api.post(f"{ALL}/{invoice_id}/{step}", {})["invoice"]], _COLUMNS, as_json=as_json)
