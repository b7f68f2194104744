"""`tallyhouse settings`: every setting, its meaning, its present value."""

import os
from typing import Annotated, Any

import msgspec
import typer

from ingest_gateway.cli.connecting import AsJson
from ingest_gateway.cli.printing import print_rows
from ingest_gateway.settings import every_entry, read_client_settings, read_settings


def settings(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of defaults for the README.")] = False,
) -> None:
    """All settings, from the environment; secrets are not shown."""
    if markdown:
        typer.echo(markdown_table(), nl=False)
        return
    present = _values(read_settings(os.environ)) | _values(read_client_settings(os.environ))
    rows = [
        {
            "variable": entry.variable,
            "value": entry.show(present[entry.field]),
            "default": entry.show(entry.default),
            "meaning": entry.setting.meaning,
        }
        for entry in every_entry()
    ]
    print_rows(rows, ("variable", "value", "default", "meaning"), as_json=as_json)


def markdown_table() -> str:
    """Every setting with its default."""
    rows = (
        f"| `{entry.variable}` | `{entry.show(entry.default)}` | {entry.setting.meaning} |" for entry in every_entry()
    )
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, ""])


def _values(record: msgspec.Struct) -> dict[str, Any]:
    return {field: getattr(record, field) for field in record.__struct_fields__}
