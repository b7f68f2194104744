"""`tallyhouse customers`: create, find, show and delete customers."""

from typing import Annotated, Any

import typer

from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.printing import print_fields, print_rows

ALL = "/v1/customers"
_COLUMNS = ("id", "name", "email", "external_id", "currency", "timezone", "created_at")
_BALANCES = ("currency_code", "pricing_unit_code", "balance")

Id = Annotated[str, typer.Argument(help="The customer's id, as `tallyhouse customers list` shows it.")]


def create(
    name: Annotated[str | None, typer.Option("--name", help="Business or display name.")] = None,
    email: Annotated[str | None, typer.Option("--email", help="Address for invoices.")] = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", help="Your own, unique id of the customer.")
    ] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="ISO 4217, such as EUR.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="IANA, such as Europe/Berlin.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a customer."""
    given: dict[str, Any] = {
        "name": name,
        "email": email,
        "external_id": external_id,
        "currency": currency,
        "timezone": timezone,
    }
    with open_api(url, key) as api:
        made = api.post(ALL, {field: value for field, value in given.items() if value is not None})["customer"]
        print_rows([made], _COLUMNS, as_json=as_json)


def list_(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List all customers, newest first."""
    with open_api(url, key) as api:
        print_rows(list(every_row(api, ALL, "customers")), _COLUMNS, as_json=as_json, if_empty="no customers yet")


def search(
    name: Annotated[str | None, typer.Option("--name", help="Business or display name.")] = None,
    email: Annotated[str | None, typer.Option("--email", help="Address for invoices.")] = None,
    external_id: Annotated[str | None, typer.Option("--external-id", help="Your own id.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Find customers with exactly these values."""
    given = {"name": name, "email": email, "external_id": external_id}
    params: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    with open_api(url, key) as api:
        found = api.get(f"{ALL}/search", **params)["customers"]
        print_rows(found, _COLUMNS, as_json=as_json, if_empty="no such customer")


def show(customer_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show one customer with all fields."""
    with open_api(url, key) as api:
        print_fields(api.get(f"{ALL}/{customer_id}")["customer"], as_json=as_json)


def balances(customer_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show the remaining credit of a customer."""
    with open_api(url, key) as api:
        rows = api.get(f"{ALL}/{customer_id}/balances")["balances"]
        print_rows(rows, _BALANCES, as_json=as_json, if_empty="no credit")


def delete(customer_id: Id, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Delete a customer that was never billed. Cannot be undone."""
    with open_api(url, key) as api:
        gone = api.delete(f"{ALL}/{customer_id}")
        print_rows([{"id": gone["id"], "deleted": gone["deleted"]}], ("id", "deleted"), as_json=as_json)


def commands() -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="Create, find, show and delete customers.")
    group.command("create")(create)
    group.command("list")(list_)
    group.command("search")(search)
    group.command("show")(show)
    group.command("balances")(balances)
    group.command("delete")(delete)
    return group
