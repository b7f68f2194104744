"""`tallyhouse usage`: how much of a meter was used."""

from typing import Annotated

import typer

from schemas.timestamps import DAY, MINUTE, to_iso
from schemas.usage import Window
from tallyhouse.cli.client import AsJson, Key, Url, open_api
from tallyhouse.cli.printing import print_json, print_rows
from tallyhouse.runtime.clock import now


def usage(
    meter: Annotated[str, typer.Argument(help="The meter's code.")],
    customer: Annotated[list[str] | None, typer.Option("--customer", help="Only these; else all.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="ISO 8601 at a whole minute; else a day ago.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="ISO 8601 at a whole minute; else the next minute.")] = None,
    window: Annotated[Window, typer.Option("--window", help="One row per …")] = Window.NONE,
    timezone: Annotated[str, typer.Option("--timezone", help="Of days and months.")] = "UTC",
    group_by: Annotated[list[str] | None, typer.Option("--group", help="Group keys to keep apart.")] = None,
    top: Annotated[int | None, typer.Option("--top", help="Only the n largest.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="Rows at most.")] = 100,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Exact usage, as far as it is counted; the watermark says how far that is."""
    minute = now() // MINUTE * MINUTE
    params: dict[str, str | int | list[str]] = {
        "meter": meter,
        "from": start or to_iso(minute - DAY),
        "to": end or to_iso(minute + MINUTE),
        "window": window.value,
        "timezone": timezone,
        "limit": limit,
    }
    optional: dict[str, str | int | list[str] | None] = {
        "customer_id": customer,
        "group_by": ",".join(group_by or []),
        "top": top,
    }
    with open_api(url, key) as api:
        answer = api.get("/v1/usage", **params, **{name: value for name, value in optional.items() if value})
    if as_json:
        print_json(answer)
        return
    columns = ("customer_id", "window_start", "window_end", "group", "value")
    print_rows(answer["usage"], columns, as_json=False, if_empty="no usage in that range")
    if answer["pagination"]["has_more"]:
        typer.echo(f"only the first {limit} rows; ask for more with --limit", err=True)
