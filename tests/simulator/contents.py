"""Blocks of rows as plain values that can be compared with those expected from the posts."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from schemas.flush import Table
from schemas.tables import meter_place
from tests.simulator.expected import ExpectedRows, nothing

Origin = int | str
"""The number of the flush that wrote a block, or the receipt of a backfill; '' if the rows show neither."""

_Answer = TypeVar("_Answer")


class Block(msgspec.Struct, frozen=True):
    """The rows of one insert into one table, which appear whole."""

    table: Table
    origin: Origin
    rows: pa.Table
    end: str
    """Which piece of its origin it is: for usage its receipt's `grp`, for rejects number and last place."""


class ByTable:
    """Caches a result by table object, because the same object occurs in many runs."""

    def __init__(self, find_out: Callable[[Table, list[dict[str, Any]]], _Answer]) -> None:
        self._find_out = find_out
        self._known: dict[tuple[Table, int], tuple[pa.Table, Any]] = {}

    def __call__(self, table: Table, rows: pa.Table) -> Any:
        known = self._known.get((table, id(rows)))
        if known is None:
            # The rows are cached with the result: an id is valid only while its object lives.
            known = self._known[table, id(rows)] = (rows, self._find_out(table, rows.to_pylist()))
        return known[1]


def _origin(table: Table, rows: list[dict[str, Any]]) -> Origin:
    if table is Table.USAGE:
        receipts = [row["customer_id"] for row in rows if not row["meter"]]
        receipt: str = receipts[0] if receipts else ""
    else:
        receipt = rows[0].get("origin") or f"{rows[0]['p']}/{rows[0]['n']}"
    return receipt if not receipt or receipt.startswith("backfill") else int(receipt.split("/")[1])


def _end(table: Table, rows: list[dict[str, Any]]) -> str:
    if table is Table.USAGE:
        return next((row["grp"] for row in rows if not row["meter"]), "")
    if table is not Table.REJECTS:
        return ""
    last = rows[-1]
    place = str(last["n"]) if last["origin"] else meter_place(last["account"] if last["meter"] else "", last["meter"])
    return f"{last['piece']}/{place}"


def _summary(table: Table, rows: list[dict[str, Any]]) -> ExpectedRows:
    counted = nothing()
    for row in rows:
        match table:
            case Table.EVENTS:
                counted.events[row["offset"], row["place"]] += 1
            case Table.REJECTS:
                counted.rejects[row["offset"], row["place"], row["meter"], row["code"]] += 1
            case Table.SEEN:
                counted.seen[row["key_hash"]] += 1
            case Table.USAGE if row["meter"]:
                key = (row["meter"], row["customer_id"], row["minute"])
                counted.usage[key] += row["count"]
                counted.sums[key] += int(row["sum"])
    return counted


end_of: Callable[[Table, pa.Table], str] = ByTable(_end)
"""The piece of a block, as its rows show it."""

origin_of: Callable[[Table, pa.Table], Origin] = ByTable(_origin)
"""The origin of a block, as its rows show it."""

summary_of: Callable[[Table, pa.Table], ExpectedRows] = ByTable(_summary)
"""The contents of a block as plain values."""


def total(blocks: Iterable[Block]) -> ExpectedRows:
    """The sum of all blocks."""
    whole = nothing()
    for block in blocks:
        part = summary_of(block.table, block.rows)
        for name in ExpectedRows.__struct_fields__:
            getattr(whole, name).update(getattr(part, name))
    return whole
