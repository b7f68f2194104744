"""Reads usage exactly at a watermark, while flushes continue.

Why the result is exact: a flush becomes visible in `usage` before it is done, so the flushes done are not exactly the
flushes a read of `usage` contains. But a flush's usage rows and its receipt are one block, which is visible whole or
not at all, and one statement reads one snapshot of the table. So the statement that reads the rows also reads the
receipts, which say which flushes beyond those done the rows contain:

1. read W, the last flush done of each partition;
2. in one statement read the usage, and the receipts of the next flushes, W+1 .. W+k, that exist;
3. read W again, as W'. Flush m is claimed only when m-1 is done, so every flush that step 2 saw is at most W'+1.
   If W'+1 <= W+k, step 2 read the receipt of every flush it can have seen. Otherwise start again with a larger k.

A large flush comes in several blocks, of a few meters each, in order, and each block's receipt names its last meter.
Such a receipt counts as the flush's if the queried meter is not after it: then all that this meter has of the flush is
in that block or an earlier one, and otherwise nothing is.

The watermark of the result is the highest receipt found, or W if there is none (barrier flushes have no receipt and no
rows). Flushes up to W are done, so complete. Later flushes, up to the highest receipt, are complete in `usage` too,
because they were applied in order. Even if the worker crashes, a flush applied to `usage` never changes: a redo adopts
its claim and finds its receipt. And its events were visible before its usage, so a recount from `events` up to this
watermark gives the same rows at any later time.

A replayed reject is a usage row of the flush that replayed it, so it needs no special case. A meter that is newer than
some events is exact once its backfill is done; until then its past is incomplete, which `backfill` reports.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import Overloaded, StatementTooLarge, Unanswerable
from schemas.meter import Meter
from schemas.tables import USAGE, flush_receipt
from schemas.timestamps import SECOND
from schemas.usage import BackfillStatus, UsageQuery, UsageResult, Window
from schemas.watermark import Watermark
from stream_processors.backends.reading.backfill_progress import backfill_progress, receipts_prefix
from stream_processors.backends.reading.cells import Cell, page_of
from stream_processors.backends.reading.windows import Windows, windows_between
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.flush_table import FlushTable
from stream_processors.backends.sql.usage_query import ROW_COLUMNS, rows_statement, usage_statement

LOOK_AHEAD = (4, 32, 256)
"""How many receipts beyond the flushes done each attempt reads, per partition."""

CHUNKS_DONE = """\
SELECT count(DISTINCT customer_id) FROM usage
WHERE account = '' AND meter = '' AND startsWith(customer_id, {receipts:String}) AND grp = ''"""


class SqlUsageReader:
    """Answers usage queries from the usage store."""

    def __init__(self, store: AsyncSqlClient, partitions: int) -> None:
        self._store = store
        self._partitions = range(partitions)
        self._flushes = FlushTable(store)

    async def usage(self, query: UsageQuery) -> UsageResult:
        """One page of rows and the watermark at which they are exact. Raises Overloaded if flushes outrun the reads.

        Windows and rows are made in a thread: both may be many, and the event loop serves other requests meanwhile.
        """
        windows = await asyncio.to_thread(
            windows_between, query.window, query.timezone, query.start // SECOND, query.end // SECOND
        )
        read = await self._exactly(lambda receipts: self._rows(query, windows, receipts))
        return await asyncio.to_thread(_result, read, query, windows)

    async def merged_rows(self, query: UsageQuery) -> tuple[pa.Table, Watermark]:
        """The stored rows of the query's meter, range and customers (layout USAGE, month 0), and the watermark at which
        they are exact. Rows of one customer, minute and group are merged. Raises Overloaded, StatementTooLarge."""
        windows = windows_between(Window.NONE, query.timezone, query.start // SECOND, query.end // SECOND)

        async def rows(receipts: Sequence[str]) -> pa.Table:
            statement = rows_statement(query, windows, receipts)
            return await self._store.query(statement.sql, statement.params)

        read = await self._exactly(rows)
        is_receipt = pc.equal(read.found["meter"], "")
        usage = read.found.filter(pc.invert(is_receipt)).rename_columns(list(ROW_COLUMNS))
        month = pa.repeat(pa.scalar(0, pa.uint32()), usage.num_rows)
        usage = usage.append_column("month", month).cast(USAGE)
        return usage, read.watermark(read.found["customer_id"].filter(is_receipt).to_pylist())

    async def _exactly(self, read: Callable[[Sequence[str]], Awaitable[pa.Table]]) -> "ExactRead":
        """Calls `read` with receipts until it has read those of every flush that it can have seen."""
        for ahead in LOOK_AHEAD:
            before = await self._flushes.done()
            receipts = self._receipts_after(before, ahead)
            found = await read(list(receipts))
            after = await self._flushes.done()
            if all(after.get(p, -1) < before.get(p, -1) + ahead for p in self._partitions):
                return ExactRead(found, before, receipts)
        raise Overloaded("usage: flushes were done faster than usage could be read; try again")

    async def _rows(self, query: UsageQuery, windows: Windows, receipts: Sequence[str]) -> pa.Table:
        """The rows of the statement: calculated in memory, or if they are too many on disk. Raises Unanswerable."""
        for on_disk in (False, True):
            statement = usage_statement(query, windows, receipts, on_disk=on_disk)
            try:
                return await self._store.query(statement.sql, statement.params)
            except StatementTooLarge:
                continue
        raise Unanswerable(
            f"the usage of meter {query.meter.code} in this range takes more memory or time than one query may take: "
            "ask for a shorter range, for some customers only, or for fewer group keys"
        )

    async def backfill(self, meter: Meter) -> BackfillStatus:
        """How far the meter's backfill has come."""
        first = await self._flushes.first_with(meter.version)
        ((chunks_done,),) = await self._store.rows(CHUNKS_DONE, {"receipts": receipts_prefix(meter)})
        return backfill_progress(first, len(self._partitions), int(chunks_done))

    async def watermark(self) -> Watermark:
        """The last flush done of each partition that has one."""
        return Watermark(flushes=await self._flushes.done())

    def _receipts_after(self, done: Mapping[int, int], ahead: int) -> dict[str, tuple[int, int]]:
        """The receipts of the next flushes of every partition, each with its partition and number."""
        return {
            flush_receipt(p, number): (p, number)
            for p in self._partitions
            for number in range(done.get(p, -1) + 1, done.get(p, -1) + 1 + ahead)
        }


class ExactRead(NamedTuple):
    """The rows of one statement, receipts among them, and what is needed to say which flushes they contain."""

    found: pa.Table
    before: Mapping[int, int]
    """The last flush done of each partition, before the statement."""
    receipts: Mapping[str, tuple[int, int]]
    """The receipts that the statement read if they exist, each with its partition and number."""

    def watermark(self, seen: Iterable[str]) -> Watermark:
        """The flushes done, raised to those whose receipts were seen."""
        # Sorted: of a partition's receipts the last is the highest.
        return Watermark(flushes={**self.before, **dict(sorted(self.receipts[name] for name in seen))})


def _result(read: ExactRead, query: UsageQuery, windows: Windows) -> UsageResult:
    seen, cells = _split(read.found)
    rows, cursor = page_of(cells, query, windows)
    return UsageResult(rows=rows, watermark=read.watermark(seen), next_cursor=cursor)


def _split(found: pa.Table) -> tuple[list[str], list[Cell]]:
    """Receipts, which are first, and cells."""
    receipts: list[str] = []
    cells: list[Cell] = []
    for row in found.to_pylist():
        if row.pop("meter"):
            cells.append(Cell(**row))
        else:
            receipts.append(row["customer_id"])
    return receipts, cells
