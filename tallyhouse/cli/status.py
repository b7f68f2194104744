"""`tallyhouse status`: progress and lag of event processing."""

import typer

from tallyhouse.cli.client import AsJson, Key, Url, open_api
from tallyhouse.cli.printing import Row, cell, print_json, print_rows

_COLUMNS = ("partition", "state", "flush", "next_offset", "end_offset", "lag_frames", "lag_seconds", "foreign_records")


def status(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show lag, rates, rejects and watermark."""
    with open_api(url, key) as api:
        document = api.get("/v1/status")["status"]
    if as_json:
        print_json(document)
        return
    print_rows([_shortened(row) for row in document["partitions"]], _COLUMNS, as_json=False)
    for row in document["partitions"]:
        if _shortened(row) != row:
            typer.echo(f"partition {row['partition']} is {row['state']}")
    for name, value in document.items():
        if name != "partitions":
            typer.echo(f"{name.replace('_', ' ')}: {cell(value)}")


def _shortened(partition: Row) -> Row:
    # The reason of a stopped or stuck partition is too long for a table.
    return {**partition, "state": partition["state"].split(":")[0]}
