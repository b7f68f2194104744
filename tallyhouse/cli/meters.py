"""`tallyhouse meters`: create and list meters."""

import json
from typing import Annotated, Any

import typer

from schemas.errors import Invalid
from schemas.meter import Aggregation
from tallyhouse.cli.client import AsJson, Key, Url, every_row, open_api
from tallyhouse.cli.printing import print_rows

_COLUMNS = ("code", "name", "event_name", "aggregation", "value_property", "group_by", "unit", "archived")


def create(
    code: Annotated[str, typer.Argument(help="Lower-case letters, digits and underscores. Cannot be changed later.")],
    event_name: Annotated[str, typer.Option("--event-name", help="Name of the events to count.")],
    aggregation: Annotated[Aggregation, typer.Option("--aggregation", help="How the events become a quantity.")],
    value_property: Annotated[
        str | None, typer.Option("--value", help="Property to aggregate, such as $.tokens.")
    ] = None,
    group_by: Annotated[
        list[str] | None, typer.Option("--group", help="Property to group by, such as model=$.model. May be repeated.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Condition on events, such as '$.region eq \"eu\"'. May be repeated."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Display name. Default: the code.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Unit of the quantity, such as token.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a meter. It also counts past events, each exactly once."""
    body: dict[str, Any] = {
        "code": code,
        "name": name or code,
        "event_name": event_name,
        "aggregation": aggregation.value,
        "value_property": value_property,
        "group_by": dict(map(_group, group_by or [])),
        "filters": [_filter(text) for text in filters or []],
        "unit": unit,
    }
    with open_api(url, key) as api:
        made = api.post("/v1/meters", {field: value for field, value in body.items() if value})["meter"]
        print_rows([made], _COLUMNS, as_json=as_json)


def list_(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List all meters of the account, including archived ones."""
    with open_api(url, key) as api:
        print_rows(list(every_row(api, "/v1/meters", "meters")), _COLUMNS, as_json=as_json, if_empty="no meters yet")


def _group(text: str) -> tuple[str, str]:
    name, found, path = text.partition("=")
    if not found:
        raise Invalid(f"--group: expected a name and a property, such as model=$.model, got {text!r}")
    return name, path


def _filter(text: str) -> dict[str, Any]:
    # A value that is not JSON is a text.
    path, _, rest = text.partition(" ")
    operation, _, value = rest.partition(" ")
    if not operation:
        raise Invalid(f"--filter: expected property, operation and value, such as '$.region eq \"eu\"', got {text!r}")
    try:
        return {"property": path, "op": operation, "value": json.loads(value)}
    except ValueError:
        return {"property": path, "op": operation, "value": value}


def commands() -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="Create and list meters.")
    group.command("create")(create)
    group.command("list")(list_)
    return group
