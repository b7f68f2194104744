"""How the commands print: tables for people, JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]


def print_rows(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, nothing: str = "nothing there") -> None:
    """The given columns of all rows; as JSON, the rows whole."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        Console(stderr=True).print(nothing)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        cells = [cell(row.get(column)) for row in rows]
        # The first one names the row, and is what other commands are given: it is never cut, however narrow the screen.
        least = max(map(len, cells)) if place == 0 else None
        table.add_column(column.replace("_", " "), min_width=least, overflow="fold")
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    Console(soft_wrap=True).print(table)


def print_fields(document: Row, *, as_json: bool) -> None:
    """One thing, a field a line; as JSON, as it came."""
    if as_json:
        print_json(document)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in document.items():
        table.add_row(name.replace("_", " "), Text(cell(value)))
    Console(soft_wrap=True).print(table)


def print_json(document: Any) -> None:
    """As it came, indented."""
    Console(soft_wrap=True).print_json(json.dumps(document))


def cell(value: Any) -> str:
    """A value as a person reads it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value)) or "-"
        case dict():
            return ", ".join(f"{name}={cell(part)}" for name, part in value.items()) or "-"
        case _:
            return str(value)


def print_error(message: str) -> None:
    """To standard error, so that a pipe gets nothing but answers."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {_plain(message)}")


def _plain(text: str) -> str:
    """Square brackets in a message are no markup."""
    return text.replace("[", "\\[")
