"""`tallyhouse plans`: create, list, show, publish and archive plans."""

import json
from typing import Annotated, Any

import typer

from schemas.errors import Invalid
from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.printing import print_fields, print_rows

ALL = "/v1/plans"
_COLUMNS = ("code", "name", "created_at", "archived_at")

PlanCode = Annotated[str, typer.Argument(help="The plan's code.")]


def create(
    definition: Annotated[typer.FileText, typer.Argument(help="A JSON file, or - for standard input.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a plan from its definition: the body of POST /v1/plans, which GET /docs describes."""
    with open_api(url, key) as api:
        print_fields(api.post(ALL, _read(definition))["plan"], as_json=as_json)


def list_(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List all plans, newest first."""
    with open_api(url, key) as api:
        print_rows(list(every_row(api, ALL, "plans")), _COLUMNS, as_json=as_json, if_empty="no plans yet")


def show(code: PlanCode, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show one plan with its newest version."""
    with open_api(url, key) as api:
        print_fields(api.get(f"{ALL}/{code}")["plan"], as_json=as_json)


def publish(
    code: PlanCode,
    version: Annotated[int, typer.Argument(help="Number of the draft version.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Publish a draft version: customers can subscribe to it, and it never changes again."""
    with open_api(url, key) as api:
        print_fields(api.post(f"{ALL}/{code}/versions/{version}/publish", {})["plan_version"], as_json=as_json)


def archive(code: PlanCode, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Archive a plan: it accepts no new subscriptions, and existing ones continue."""
    with open_api(url, key) as api:
        print_fields(api.delete(f"{ALL}/{code}")["plan"], as_json=as_json)


def _read(definition: typer.FileText) -> Any:
    try:
        return json.load(definition)
    except ValueError as error:
        raise Invalid(f"{definition.name}: not JSON: {error}") from error


def commands() -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="Create, list, show, publish and archive plans.")
    group.command("create")(create)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("publish")(publish)
    group.command("archive")(archive)
    return group
