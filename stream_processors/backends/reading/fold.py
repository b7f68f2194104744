"""Folds usage rows into cells in plain Python: for recounts and for rows kept in memory.

The rules are those of `sql/usage_query.py`; a property test holds the two together.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pyarrow as pa

from schemas.meter import Aggregation
from schemas.quantity import SCALE
from schemas.usage import UsageQuery
from stream_processors.backends.reading.cells import Cell, after_cursor, sort_key
from stream_processors.backends.reading.group_values import group_index, matches_groups, read_groups, write_groups
from stream_processors.backends.reading.windows import Windows

_EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)

Part = Any
"""An aggregation's intermediate value over some rows; each aggregation has its own type."""

Row = Mapping[str, Any]


class RowFold(msgspec.Struct, frozen=True):
    """How an aggregation folds rows: a row's part, the merge of two parts, and the value of a part."""

    part: Callable[[Row], Part]
    merge: Callable[[Part, Part], Part]
    value: Callable[[Part], Decimal]


def _average(part: tuple[Decimal, int]) -> Decimal:
    # Rounding a fraction to a whole number is exact, and ties go to even.
    total, count = part
    return _EXACT.scaleb(Decimal(round(Fraction(total) * 10**SCALE / count)), -SCALE)


FOLDS = {
    Aggregation.COUNT: RowFold(lambda row: row["count"], lambda a, b: a + b, Decimal),
    Aggregation.SUM: RowFold(lambda row: row["sum"], _EXACT.add, Decimal),
    Aggregation.MIN: RowFold(lambda row: row["min"], min, Decimal),
    Aggregation.MAX: RowFold(lambda row: row["max"], max, Decimal),
    Aggregation.AVG: RowFold(
        lambda row: (row["sum"], row["count"]), lambda a, b: (_EXACT.add(a[0], b[0]), a[1] + b[1]), _average
    ),
    Aggregation.LATEST: RowFold(lambda row: tuple(row["latest"].values()), max, lambda part: Decimal(part[-1])),
    Aggregation.UNIQUE: RowFold(
        lambda row: frozenset(row["uniques"]), frozenset.__or__, lambda part: Decimal(len(part))
    ),
}

CellKey = tuple[str, str, int]
"""Customer, group values as JSON, start of the window."""


def fold(usage: pa.Table, query: UsageQuery, windows: Windows) -> list[Cell]:
    """The query's cells in order, from its cursor on; `limit` is left to the page."""
    parts = _parts(usage, query, windows)
    cells = _cells(parts, query)
    if query.top is not None:
        cells = _largest(cells, query.top)
    return sorted(after_cursor(cells, query), key=lambda cell: sort_key(cell, query))


def _parts(usage: pa.Table, query: UsageQuery, windows: Windows) -> dict[CellKey, Part]:
    folding = FOLDS[query.meter.aggregation]
    places = [group_index(query.meter, key) for key in query.group_by]
    parts: dict[CellKey, Part] = {}
    for row in usage.to_pylist():
        if not _matches_query(row, query, windows):
            continue
        values = read_groups(row["grp"])
        kept = write_groups([values[place] for place in places])
        key = (row["customer_id"], kept, windows.start_of(row["minute"]))
        part = folding.part(row)
        parts[key] = folding.merge(parts[key], part) if key in parts else part
    return parts


def _matches_query(row: Row, query: UsageQuery, windows: Windows) -> bool:
    return (
        row["account"] == query.account
        and row["meter"] == query.meter.code
        and (not query.customers or row["customer_id"] in query.customers)
        and windows.start <= row["minute"] < windows.end
        and matches_groups(read_groups(row["grp"]), query.meter, query.groups)
    )


def _cells(parts: Mapping[CellKey, Part], query: UsageQuery) -> list[Cell]:
    folding = FOLDS[query.meter.aggregation]
    totals: dict[tuple[str, str], Part] = {}
    for (customer, kept, _), part in parts.items():
        whole = (customer, kept)
        totals[whole] = folding.merge(totals[whole], part) if whole in totals else part
    return [
        Cell(
            customer_id=customer,
            start=start,
            kept=kept,
            value=folding.value(part),
            total=folding.value(totals[customer, kept]),
        )
        for (customer, kept, start), part in parts.items()
    ]


def _largest(cells: Iterable[Cell], top: int) -> list[Cell]:
    """The cells of the `top` customers and groups."""
    totals = {(cell.customer_id, cell.kept): cell.total for cell in cells}
    ranked = sorted(totals, key=lambda whole: (totals[whole].copy_negate(), *whole))
    best = set(ranked[:top])
    return [cell for cell in cells if (cell.customer_id, cell.kept) in best]
