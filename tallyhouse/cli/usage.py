"""`tallyhouse usage`: the usage of a meter."""

from typing import Annotated

import typer

from schemas.moments import EventMoment
from schemas.timestamps import DAY, MINUTE, to_iso
from schemas.usage import Window
from tallyhouse.cli.client import AsJson, Key, Url, open_api
from tallyhouse.cli.moments import checked_moment
from tallyhouse.cli.printing import print_json, print_rows
from tallyhouse.runtime.clock import now


def usage(
    meter: Annotated[str, typer.Argument(help="The meter's code.")],
    customer: Annotated[
        list[str] | None, typer.Option("--customer", help="Only this customer. May be repeated. Default: all.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Start, in ISO 8601 at a whole minute. Default: a day ago.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="End, in ISO 8601 at a whole minute. Default: the next minute.")
    ] = None,
    window: Annotated[Window, typer.Option("--window", help="Length of the time windows, one row each.")] = Window.NONE,
    timezone: Annotated[str, typer.Option("--timezone", help="Time zone of days and months.")] = "UTC",
    group_by: Annotated[
        list[str] | None, typer.Option("--group", help="Group key of the meter; one row per value. May be repeated.")
    ] = None,
    top: Annotated[int | None, typer.Option("--top", help="Only this many rows, the largest values first.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="Maximum number of rows.")] = 100,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show the exact usage counted so far: up to the watermark that `tallyhouse status` shows."""
    minute = now() // MINUTE * MINUTE
    params: dict[str, str | int | list[str]] = {
        "meter": meter,
        "from": checked_moment("--from", start or to_iso(minute - DAY), EventMoment),
        "to": checked_moment("--to", end or to_iso(minute + MINUTE), EventMoment),
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
        typer.echo(f"only the first {limit} rows are shown; raise --limit for more", err=True)
