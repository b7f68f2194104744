"""Output of the commands: tables, JSON, and errors."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

_WIDEST = 1_000_000


def print_rows(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, if_empty: str = "no rows") -> None:
    """Prints the columns of all rows as a table, or the whole rows as JSON.

    A single row that is wider than the screen is printed with one field per line.
    """
    if as_json:
        print_json(rows)
        return
    if not rows:
        Console(stderr=True).print(if_empty)
        return
    console = Console(soft_wrap=True)
    table = _table(rows, columns)
    unbounded = console.options.update(max_width=_WIDEST)
    if len(rows) == 1 and Measurement.get(console, unbounded, table).maximum > console.width:
        table = _vertical_table({column: rows[0].get(column) for column in columns})
    console.print(table)


def print_fields(document: Row, *, as_json: bool) -> None:
    """Prints the document with one field per line, or as JSON."""
    if as_json:
        print_json(document)
    else:
        Console(soft_wrap=True).print(_vertical_table(document))


def _table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        cells = [cell(row.get(column)) for row in rows]
        # The first column identifies the row for other commands, so it is never cut, however narrow the screen is.
        min_width = max(map(len, cells)) if place == 0 else None
        table.add_column(column.replace("_", " "), min_width=min_width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row.get(column))) for column in columns))
    return table


def _vertical_table(document: Row) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in document.items():
        table.add_row(name.replace("_", " "), Text(cell(value)))
    return table


def print_json(document: Any) -> None:
    Console(soft_wrap=True).print_json(json.dumps(document))


def cell(value: Any) -> str:
    """Returns the value as a text for people."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_part, value)) or "-"
        case dict():
            return ", ".join(f"{name}={_part(part)}" for name, part in value.items()) or "-"
        case _:
            return str(value)


def _part(value: Any) -> str:
    # Brackets show where a nested value ends.
    match value:
        case list() if value:
            return f"[{cell(value)}]"
        case dict() if value:
            return f"({cell(value)})"
        case _:
            return cell(value)


def print_error(message: str) -> None:
    """Prints the message to standard error, so that a pipe receives only results."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {_plain(message)}")


def _plain(text: str) -> str:
    # Square brackets would be markup.
    return text.replace("[", "\\[")
