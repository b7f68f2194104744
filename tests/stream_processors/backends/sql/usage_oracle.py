"""The result of a usage query by the simplest calculation: no SQL, no windows module, no merging of parts."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

from schemas.meter import Aggregation
from schemas.usage import UsageQuery, Window


class Row(TypedDict):
    """A usage row without the columns that all rows of a test share."""

    customer_id: str
    minute: int
    grp: str
    sum: Decimal
    count: int
    min: Decimal
    max: Decimal
    latest: dict[str, Any]
    uniques: list[bytes]


Answer = tuple[str, object, tuple[str | None, ...], Decimal]
"""Customer, local label of the window, group values, value."""


def label(window: Window, zone: str, minute: int) -> object:
    """What the local clock shows that distinguishes one window from the next."""
    local = datetime.fromtimestamp(minute, ZoneInfo(zone))
    return {
        Window.NONE: None,
        Window.MINUTE: minute,
        Window.HOUR: (local.date(), local.hour, local.utcoffset()),
        Window.DAY: local.date(),
        Window.MONTH: (local.year, local.month),
    }[window]


def value_of(rows: list[Row], aggregation: Aggregation) -> Decimal:
    """The value of all rows of one cell."""
    with localcontext(Context(prec=90, rounding=ROUND_HALF_EVEN)):
        total, count = sum((row["sum"] for row in rows), Decimal(0)), sum(row["count"] for row in rows)
        match aggregation:
            case Aggregation.COUNT:
                return Decimal(count)
            case Aggregation.SUM:
                return total
            case Aggregation.AVG:
                return (total / count).quantize(Decimal("1e-12"))
            case Aggregation.MIN:
                return min(row["min"] for row in rows)
            case Aggregation.MAX:
                return max(row["max"] for row in rows)
            case Aggregation.LATEST:
                newest = max((tuple(row["latest"].values()) for row in rows), key=lambda latest: latest[:5])
                return Decimal(newest[5])
            case Aggregation.UNIQUE:
                return Decimal(len({digest for row in rows for digest in row["uniques"]}))


def answer(rows: Iterable[Row], query: UsageQuery, groups_of: dict[str, list[str | None]]) -> list[Answer]:
    """Every cell of the query, in the order of rows; `groups_of` maps each `grp` text to its values."""
    keys = list(query.meter.group_by)
    cells: dict[tuple[str, object, tuple[str | None, ...]], list[Row]] = defaultdict(list)
    for row in rows:
        group = dict(zip(keys, groups_of[row["grp"]], strict=True))
        if (
            (not query.customers or row["customer_id"] in query.customers)
            and query.start <= row["minute"] * 1_000_000 < query.end
            and all(group[key] in wanted for key, wanted in query.groups.items())
        ):
            kept = tuple(group[key] for key in query.group_by)
            cells[row["customer_id"], label(query.window, query.timezone, row["minute"]), kept].append(row)
    wholes: dict[tuple[str, tuple[str | None, ...]], list[Row]] = defaultdict(list)
    for (customer, _, kept), found in cells.items():
        wholes[customer, kept] += found
    totals = {whole: value_of(found, query.meter.aggregation) for whole, found in wholes.items()}
    best = set(totals)
    if query.top is not None:
        best = set(
            sorted(totals, key=lambda whole: (totals[whole].copy_negate(), whole[0], as_text(whole[1])))[: query.top]
        )
    # Windows in order, without their start: any minute of a window serves, if it is the same one for all rows.
    seen: dict[object, int] = {}
    for (_, window, _), found in cells.items():
        seen[window] = min(seen.get(window, found[0]["minute"]), *(row["minute"] for row in found))
    ordered = sorted(
        (key for key in cells if (key[0], key[2]) in best),
        key=lambda key: _order(query, key[0], seen[key[1]], key[2], totals[key[0], key[2]]),
    )
    return [(*key, value_of(cells[key], query.meter.aggregation)) for key in ordered]


def as_text(values: Iterable[str | None]) -> str:
    """Plain group values as a JSON array: nulls sort after strings, as `n` does after a quotation mark."""
    return "[" + ",".join("null" if value is None else f'"{value}"' for value in values) + "]"


def _order(query: UsageQuery, customer: str, minute: int, kept: tuple[str | None, ...], total: Decimal) -> Any:
    if query.top is None:
        return customer, minute, as_text(kept)
    return total.copy_negate(), customer, as_text(kept), minute
