"""`tallyhouse plans`: what is sold."""

import json
from typing import Annotated, Any

import typer

from ingest_gateway.cli.connecting import AsJson, Key, Url, open_api
from ingest_gateway.cli.paging import every_row
from ingest_gateway.cli.printing import print_json, print_rows
from schemas.errors import Invalid

ALL = "/v1/plans"
_COLUMNS = ("code", "name", "created_at", "archived_at")


def create(
    definition: Annotated[typer.FileText, typer.Argument(help="A JSON file, or - for standard input.")],
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a plan from its definition: what POST /v1/plans takes, as GET /docs describes it."""
    with open_api(url, key) as api:
        print_json(api.post(ALL, _read(definition))["plan"])


def list_(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """All plans, newest first."""
    with open_api(url, key) as api:
        print_rows(list(every_row(api, ALL, "plans")), _COLUMNS, as_json=as_json, nothing="no plans yet")


def show(code: Annotated[str, typer.Argument(help="The plan's code.")], url: Url = None, key: Key = None) -> None:
    """One plan with its newest version, as JSON."""
    with open_api(url, key) as api:
        print_json(api.get(f"{ALL}/{code}")["plan"])


def _read(definition: typer.FileText) -> Any:
    try:
        return json.load(definition)
    except ValueError as error:
        raise Invalid(f"{definition.name}: not JSON: {error}") from error


def commands() -> typer.Typer:
    """The group."""
    group = typer.Typer(no_args_is_help=True, help="Make, list and show plans.")
    group.command("create")(create)
    group.command("list")(list_)
    group.command("show")(show)
    return group
