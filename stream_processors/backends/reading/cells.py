"""Cells: usage rows before they are dressed for the answer, their order, and the cursor that follows from it."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from schemas.quantity import PRECISION, SCALE, from_text, to_text
from schemas.timestamps import SECOND
from schemas.usage import UsageQuery, UsageRow
from stream_processors.backends.reading.cursor import Key, decode_cursor, encode_cursor, invalid_cursor
from stream_processors.backends.reading.windows import Windows

PLAIN_KEY = (str, int, str)
TOP_KEY = (str, str, str, int)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One value: of a customer, in a window, for a group. Times are seconds since 1970."""

    customer_id: str
    start: int
    kept: str
    """The group values asked for, as a JSON array in the order of the question."""
    value: Decimal
    total: Decimal
    """Of the customer and group over the whole range: what `top` ranks by. The value itself where nothing is ranked."""


def sort_key(cell: Cell, query: UsageQuery) -> tuple[Decimal | int | str, ...]:
    """The order of rows: by customer, window, group; with `top`, by total first, largest on top."""
    if query.top is None:
        return cell.customer_id, cell.start, cell.kept
    return cell.total.copy_negate(), cell.customer_id, cell.kept, cell.start


def cursor_of(cell: Cell, query: UsageQuery) -> str:
    """Where the next page starts, if `cell` is the last of this one."""
    if query.top is None:
        return encode_cursor((cell.customer_id, cell.start, cell.kept))
    return encode_cursor((to_text(cell.total), cell.customer_id, cell.kept, cell.start))


def key_after(query: UsageQuery) -> Key | None:
    """The sort key the query's cursor stands for, checked: customer, start, group; before them the total with `top`."""
    if query.after is None:
        return None
    if query.top is None:
        return decode_cursor(query.after, PLAIN_KEY)
    key = decode_cursor(query.after, TOP_KEY)
    total = from_text(str(key[0]))
    if total is None or abs(total) >= Decimal(10) ** (PRECISION - SCALE):
        raise invalid_cursor()
    return key


def after_cursor(cells: Iterable[Cell], query: UsageQuery) -> Iterator[Cell]:
    """Those of the cells that come after the query's cursor."""
    key = key_after(query)
    if key is None:
        yield from cells
    elif query.top is None:
        yield from (cell for cell in cells if sort_key(cell, query) > key)
    else:
        rank = Decimal(key[0]).copy_negate(), *key[1:]
        yield from (cell for cell in cells if sort_key(cell, query) > rank)


def page_of(cells: Sequence[Cell], query: UsageQuery, windows: Windows) -> tuple[tuple[UsageRow, ...], str | None]:
    """The first `limit` of the cells, which are in order, as rows, and the cursor if there are more."""
    shown = cells[: query.limit]
    more = len(cells) > query.limit
    return tuple(_rows(shown, query, windows)), cursor_of(shown[-1], query) if more else None


def _rows(cells: Iterable[Cell], query: UsageQuery, windows: Windows) -> Iterable[UsageRow]:
    for cell in cells:
        values: list[str | None] = msgspec.json.decode(cell.kept)
        yield UsageRow(
            meter=query.meter.code,
            customer_id=cell.customer_id,
            window_start=cell.start * SECOND,
            window_end=windows.end_of(cell.start) * SECOND,
            group=dict(zip(query.group_by, values, strict=True)),
            value=cell.value,
        )
