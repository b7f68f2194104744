"""Compares what the tables hold of each flush with the row counts that its mark of being done has kept."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.flush import Table
from schemas.tables import flush_receipt
from stream_processors.backends.sql import flush_statements as sql
from stream_processors.backends.sql.client import AsyncSqlClient

_FLUSHES_AT_A_TIME = 200_000
"""How many flushes one statement looks at singly."""


class CountDifference(NamedTuple):
    """Flushes of one month of which a table has more or fewer rows than when they were done."""

    table: Table
    month: int
    numbers: Sequence[int]
    lost: int
    surplus: int

    def __str__(self) -> str:
        rows = "pieces" if self.table is Table.USAGE else "rows"
        what = f"{self.lost} {rows} are lost" if self.lost else f"{self.surplus} {rows} are doubled"
        return (
            f"{what} in the table {self.table}, of {len(self.numbers)} flushes between {self.numbers[0]} and "
            f"{self.numbers[-1]} in the month {self.month}"
        )


class CountedFlushes(NamedTuple):
    """How many flushes have row counts, and what differs from them."""

    number: int
    differences: Sequence[CountDifference]


async def counted_flushes(store: AsyncSqlClient, partition: int) -> CountedFlushes:
    """Those of a partition. Flushes from before rows were counted are not judged, nor are expired keys."""
    stated = await store.rows(sql.STATED_ROWS, {"p": partition})
    newest = max((int(month) for month, *_ in stated), default=0)
    found: list[CountDifference] = []
    for month, _, first, last, *counts in stated:
        place: dict[str, int | str] = {
            "p": partition,
            "month": int(month),
            "first": int(first),
            "last": int(last),
            "prefix": flush_receipt(partition, 0).removesuffix("0"),
        }
        for table, wanted in zip(Table, counts, strict=True):
            ((held,),) = await store.rows(sql.HELD_ROWS[table], place)
            has_expired = table is Table.SEEN and not held and int(month) < _month_before(newest)
            if held != wanted and not has_expired:
                found += await _differing(store, table, place)
    return CountedFlushes(sum(int(flushes) for _, flushes, *_ in stated), found)


async def _differing(store: AsyncSqlClient, table: Table, place: dict[str, int | str]) -> Sequence[CountDifference]:
    numbers: list[int] = []
    lost = surplus = 0
    for first in range(int(place["first"]), int(place["last"]) + 1, _FLUSHES_AT_A_TIME):
        last = min(first + _FLUSHES_AT_A_TIME - 1, int(place["last"]))
        run = {**place, "first": first, "last": last}
        for number, wanted, held in await store.rows(sql.DIFFERING_FLUSHES[table], run):
            numbers.append(int(number))
            lost, surplus = lost + max(wanted - held, 0), surplus + max(held - wanted, 0)
    return [CountDifference(table, int(place["month"]), numbers, lost, surplus)] if numbers else []


def _month_before(month: int) -> int:
    """Expiry drops no month that is newer than this one, while `month` is the newest."""
    year, number = divmod(month, 100)
    return month - 1 if number > 1 else (year - 1) * 100 + 12
