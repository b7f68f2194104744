"""Usage cells, their order, and the page and cursor made of them."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from schemas.quantity import PRECISION, SCALE, from_text, to_text
from schemas.timestamps import SECOND
from schemas.usage import UsageQuery, UsageRow
from stream_processors.backends.reading.cursor import INT64, Key, decode_cursor, encode_cursor, invalid_cursor
from stream_processors.backends.reading.windows import Windows

PLAIN_KEY = (str, INT64, str)
TOP_KEY = (str, str, str, INT64)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The value of one customer, window and group. Times are seconds since 1970."""

    customer_id: str
    start: int
    kept: str
    """The group values, as a JSON array in the order of the query's `group_by`."""
    value: Decimal
    total: Decimal
    """What `top` ranks by: the value of customer and group over the whole range; without `top`, the cell's value."""


def sort_key(cell: Cell, query: UsageQuery) -> tuple[Decimal | int | str, ...]:
    """The order of rows: by customer, window and group; with `top` by total first, the largest first."""
    if query.top is None:
        return cell.customer_id, cell.start, cell.kept
    return cell.total.copy_negate(), cell.customer_id, cell.kept, cell.start


def cursor_of(cell: Cell, query: UsageQuery) -> str:
    """The cursor of the next page, if `cell` is the last of this page."""
    if query.top is None:
        return encode_cursor((cell.customer_id, cell.start, cell.kept))
    return encode_cursor((to_text(cell.total), cell.customer_id, cell.kept, cell.start))


def key_after(query: UsageQuery) -> Key | None:
    """The sort key in the query's cursor: customer, start, group; with `top` the total first. Raises Invalid."""
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
    """The cells after the query's cursor."""
    key = key_after(query)
    if key is None:
        yield from cells
    elif query.top is None:
        yield from (cell for cell in cells if sort_key(cell, query) > key)
    else:
        rank = Decimal(key[0]).copy_negate(), *key[1:]
        yield from (cell for cell in cells if sort_key(cell, query) > rank)


def page_of(cells: Sequence[Cell], query: UsageQuery, windows: Windows) -> tuple[tuple[UsageRow, ...], str | None]:
    """The first `limit` cells (which are in order) as rows, and the cursor if there are more."""
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
