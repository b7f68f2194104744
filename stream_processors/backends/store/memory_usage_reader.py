"""Answers usage queries from the store in memory, by the same rules as the SQL store."""

from collections.abc import Iterable

import pyarrow.compute as pc

from schemas.flush import Claim, Table
from schemas.meter import Meter
from schemas.tables import covers
from schemas.timestamps import SECOND
from schemas.usage import BackfillStatus, UsageQuery, UsageResult
from schemas.watermark import Watermark
from stream_processors.backends.reading.backfill_progress import backfill_progress, receipts_prefix
from stream_processors.backends.reading.cells import page_of
from stream_processors.backends.reading.fold import fold
from stream_processors.backends.reading.windows import windows_between
from stream_processors.backends.store.memory import FlushDone, MemoryEngine


class MemoryUsageReader:
    """Reads all rows in one step, so their receipts name exactly the flushes they belong to."""

    def __init__(self, engine: MemoryEngine, partitions: int) -> None:
        self._engine = engine
        self._partitions = partitions

    async def usage(self, query: UsageQuery) -> UsageResult:
        """One page of rows, and the watermark at which they are exact."""
        windows = windows_between(query.window, query.timezone, query.start // SECOND, query.end // SECOND)
        done = self._done()
        usage = self._engine.rows(Table.USAGE)
        receipts = usage.filter(pc.equal(usage["meter"], "")).select(["customer_id", "grp"]).to_pylist()
        covering = [row["customer_id"] for row in receipts if covers(row["grp"], query.meter)]
        rows, cursor = page_of(fold(usage, query, windows), query, windows)
        return UsageResult(rows=rows, watermark=Watermark(flushes=_raised(done, covering)), next_cursor=cursor)

    async def backfill(self, meter: Meter) -> BackfillStatus:
        """How far the meter's backfill has come."""
        claims = [row for row in self._engine.flushes if isinstance(row, Claim) and row.version >= meter.version]
        first: dict[int, int] = {}
        for claim in claims:
            first[claim.partition] = min(claim.number, first.get(claim.partition, claim.number))
        return backfill_progress(first, self._partitions, len(await self._engine.receipts(receipts_prefix(meter))))

    async def watermark(self) -> Watermark:
        """The last flush done of each partition that has one."""
        return Watermark(flushes=self._done())

    def _done(self) -> dict[int, int]:
        done: dict[int, int] = {}
        for row in self._engine.flushes:
            if isinstance(row, FlushDone):
                done[row.partition] = max(row.number, done.get(row.partition, row.number))
        return done


def _raised(done: dict[int, int], receipts: Iterable[str]) -> dict[int, int]:
    """The flushes done, raised to the later flushes whose receipts exist."""
    raised = dict(done)
    for receipt in receipts:
        if not receipt.startswith("backfill/"):
            partition, number = map(int, receipt.split("/"))
            raised[partition] = max(number, raised.get(partition, number))
    return raised
