"""`tallyhouse settings`: every setting with its value, default and meaning."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer

from schemas.env import SettingEntry
from tallyhouse.cli.client import AsJson
from tallyhouse.cli.printing import print_rows
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.environment import (
    every_entry,
    process_environment,
    read_client_settings,
    read_cluster_settings,
    read_settings,
)


def settings(
    as_json: AsJson = False,
    cluster: Annotated[
        bool,
        typer.Option("--cluster", help="Show the settings of cluster mode instead of those of `tallyhouse serve`."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of deploy/settings.md.")] = False,
) -> None:
    """Show all settings with their values from the environment. Secrets are hidden."""
    if markdown:
        typer.echo(markdown_table(cluster=cluster), nl=False)
        return
    environ = process_environment()
    service = read_cluster_settings(environ) if cluster else read_settings(environ)
    present = _values(service) | _values(read_client_settings(environ))
    rows = [
        {
            "variable": entry.variable,
            "value": entry.show(present[entry.field]),
            "default": entry.show(entry.default),
            "meaning": entry.setting.meaning,
        }
        for entry in every_entry(type(service))
    ]
    print_rows(rows, ("variable", "value", "default", "meaning"), as_json=as_json)


def markdown_table(*, cluster: bool = False) -> str:
    """Returns every setting with its default; with `cluster`, only the settings that the other table does not have."""
    entries: Sequence[SettingEntry] = every_entry()
    if cluster:
        entries = [entry for entry in every_entry(ClusterSettings) if entry not in entries]
    rows = (f"| `{entry.variable}` | `{entry.show(entry.default)}` | {entry.setting.meaning} |" for entry in entries)
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, ""])


def _values(record: msgspec.Struct) -> dict[str, Any]:
    return {field: getattr(record, field) for field in record.__struct_fields__}
