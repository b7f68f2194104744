"""Makes usage, seen keys, flushes and rejects again from `events`, after parts of them were lost.

A damaged table is made again beside the old one: undamaged months are attached as they are, the others are made from
`events`, and the two tables are exchanged in one step. So a repair that is killed has changed nothing, or all of a
table, and the next one continues with what is still damaged. Lost rows of `flushes` are written last, because what they
were is derived from the rest.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.event import EventFlag
from schemas.flush import UNCOUNTED, ApplyOutcome, ApplyResult, Extent, Table
from schemas.meter import MeterSet
from schemas.tables import BACKFILL_CHUNK, EVENTS, flush_receipt
from schemas.timestamps import month_of
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine, done_row
from stream_processors.backends.sql.flush_statements import RECEIPTS
from stream_processors.backends.sql.row_counts import counted_flushes
from stream_processors.backends.sql.store_findings import (
    BrokenPart,
    PartitionFlushes,
    Replay,
    StoreFindings,
    ranges,
)
from stream_processors.backends.sql.store_inspection import MONTHS, runs_of_rows
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.core.flush_gaps import Numbers
from stream_processors.core.flush_plan import PieceBounds
from stream_processors.core.measure import Measurement
from stream_processors.core.rejects import with_piece
from stream_processors.core.usage_rows import stacked, usage_rows
from stream_processors.ports import BackfillTables, EventHistory, MeterSets

Report = Callable[[str], None]

RunBackfills = Callable[[EventHistory, BackfillTables], Awaitable[None]]
"""Counts every chunk of every backfill that the tables lack."""

_RECEIPTS_PER_INSERT = 50_000
_FLUSHES_PER_READ = 50_000
_KEYS_PER_INSERT = 500_000

_SEEN_OF_EVENTS = """\
INSERT INTO seen_repaired
SELECT p, key_hash, body_hash, toUnixTimestamp64Micro(arrival), n, month FROM events
WHERE month = {month:UInt32} AND p = {p:UInt16} AND n <= {done:Int64}"""

_SEEN_SIZES = """\
SELECT n, count() FROM seen WHERE month = {month:UInt32} AND p = {p:UInt16} GROUP BY n ORDER BY n"""

# Keys of replays, and those of a flush that is half done.
_SEEN_WITHOUT_EVENTS = """\
INSERT INTO seen_repaired
SELECT p, key_hash, body_hash, arrival, n, month FROM seen
WHERE month = {month:UInt32} AND p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64}
AND (n, key_hash) NOT IN (
    SELECT n, key_hash FROM events
    WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64} AND n <= {done:Int64})"""

_BACKFILL_MONTHS = """\
SELECT DISTINCT customer_id, month FROM usage
WHERE account = '' AND meter = '' AND startsWith(customer_id, 'backfill/') AND month != {without_events:UInt32}"""

_KEPT_RECEIPTS = f"{RECEIPTS} AND month NOT IN {{months:Array(UInt32)}}"

_REJECT_PLACES = """\
SELECT n, offset, place, account, meter FROM rejects
WHERE p = {p:UInt16} AND n BETWEEN {first:UInt64} AND {last:UInt64} AND origin = ''"""


class SqlRepair:
    """Repairs a store that no other process uses."""

    def __init__(
        self, store: AsyncSqlClient, meters: MeterSets, run_backfills: RunBackfills, run: str, report: Report
    ) -> None:
        """`run` differs from that of every other repair: it is part of the tokens of inserts."""
        self._store = store
        self._engine = SqlEngine(store)
        self._meters = meters
        self._run_backfills = run_backfills
        self._run = run
        self._report = report
        self._inserts = 0

    async def mend(self, findings: StoreFindings) -> None:
        """Makes again what can be made again. May be ended at any moment, and called again."""
        if findings.usage:
            await self._mend_usage(findings)
        await self._drop_put_aside("usage", findings.mended)
        if findings.seen:
            await self._mend_seen(findings)
        await self._drop_put_aside("seen", findings.mended)
        for month in findings.rejects:
            await self._mend_rejects(findings, month)
        await self._drop_put_aside("rejects", findings.mended)
        await self._mend_flushes(findings)
        await self._drop_put_aside("flushes", findings.mended)
        await self._drop_put_aside("events", findings.mended)
        for partition in findings.flushes:
            await self._forget_counts(partition, findings)

    async def _forget_counts(self, partition: int, findings: StoreFindings) -> None:
        """Keys of replays, and conflicts, are in no other table: their flushes are not judged by their number again."""
        for found in (await counted_flushes(self._store, partition)).differences:
            if found.month not in (findings.seen if found.table is Table.SEEN else findings.rejects):
                continue
            what = "keys of replays" if found.table is Table.SEEN else "conflicts, or rejects of replays,"
            self._report(f"LOST: {found.lost} {what} of partition {partition} cannot be made again")
            for start in range(0, len(found.numbers), _FLUSHES_PER_MUTATION):
                numbers = found.numbers[start : start + _FLUSHES_PER_MUTATION]
                await self._store.command(_UNCOUNT, {"p": partition, "numbers": list(numbers)})

    async def _mend_flushes(self, findings: StoreFindings) -> None:
        for claim in findings.claims:
            await self._engine.insert_claim(claim, self._token(f"claim/{claim.partition}/{claim.number}"))
        for partition, number in findings.done:
            await self._store.insert(
                "flushes", done_row(partition, number, UNCOUNTED), self._token(f"done/{partition}/{number}")
            )
        if findings.claims or findings.done:
            self._report(f"flushes: {len(findings.claims)} claims and {len(findings.done)} marks are written again")

    async def _mend_seen(self, findings: StoreFindings) -> None:
        await self._begin("seen")
        for month in findings.seen:
            for partition, flushes in findings.flushes.items():
                place = {"month": month, "p": partition, "done": flushes.last_done}
                await self._store.command(_SEEN_OF_EVENTS, place)
                sizes = await self._store.rows(_SEEN_SIZES, {"month": month, "p": partition})
                for first, last in runs_of_rows(sizes, _KEYS_PER_INSERT):
                    await self._store.command(_SEEN_WITHOUT_EVENTS, {**place, "first": first, "last": last})
            self._report(f"seen: the keys of the arrival month {month} are made again")
        await self._exchange("seen", findings.seen)

    async def _mend_usage(self, findings: StoreFindings) -> None:
        months = await self._closed(findings)
        await self._begin("usage")
        for partition, flushes in findings.flushes.items():
            chosen = flushes.counted[np.isin(flushes.months, months)]
            replays = [replay for replay in findings.replays if replay.partition == partition]
            async for month, rows in self._usage_of(partition, flushes, chosen, replays):
                await self._insert("usage_repaired", rows, f"usage/{partition}/{month}")
            pieces = {int(n): int(k) for n, k in await self._store.rows(_SEVERAL_PIECES, {"p": partition})}
            for month in months:
                await self._write_receipts(partition, flushes.counted[flushes.months == month], month, pieces)
        await self._mend_backfills(findings, months)
        await self._exchange("usage", months)

    async def _usage_of(
        self, partition: int, flushes: PartitionFlushes, chosen: Numbers, replays: Sequence[Replay]
    ) -> AsyncIterator[tuple[int, pa.Table]]:
        """The usage rows of the chosen flushes with their month, in blocks of a bounded size."""
        bounds, done = PieceBounds(), 0
        block: list[pa.Table] = []
        block_month = 0
        async for month, events, meters in self._measurable(partition, flushes, chosen, replays):
            measurement = Measurement(events, meters.meters, month=month)
            for key in measurement.keys:
                rows = measurement.usage(key)
                held = sum(table.num_rows for table in block), sum(table.nbytes for table in block)
                is_full = held[0] + rows.num_rows > bounds.rows or held[1] + rows.nbytes > bounds.size
                if block and (is_full or month != block_month):
                    yield block_month, stacked(block)
                    block = []
                block_month = month
                block += [rows] if rows.num_rows else []
            done += events.num_rows
            through = events["n"][-1].as_py()
            self._report(f"usage: {done} events of partition {partition} are counted again, up to flush {through}")
        if block:
            yield block_month, stacked(block)

    async def _measurable(
        self, partition: int, flushes: PartitionFlushes, chosen: Numbers, replays: Sequence[Replay]
    ) -> AsyncIterator[tuple[int, pa.Table, MeterSet]]:
        """The events of the chosen flushes, those of one month and one meter set at a time, with that meter set."""
        pending = sorted(replays, key=lambda replay: replay.number)
        for first, last in _consecutive(chosen):
            async for events in self._engine.read_events(partition, first, last):
                for month, numbers, rows in _of_one_set(events, flushes, chosen):
                    yield month, rows, await self._meter_set(flushes, numbers[0])
        for number in sorted({replay.number for replay in pending} & set(chosen.tolist())):
            rows = _replayed([replay for replay in pending if replay.number == number])
            month = int(flushes.months[np.searchsorted(flushes.counted, number)])
            yield month, rows, await self._meter_set(flushes, number)

    async def _meter_set(self, flushes: PartitionFlushes, number: int) -> MeterSet:
        version = int(flushes.version_of(np.array([number], dtype=np.int64))[0])
        return await self._meters.at_version(version)

    async def _write_receipts(self, partition: int, numbers: Numbers, month: int, pieces: Mapping[int, int]) -> None:
        """A receipt of each flush, and as many more as its pieces had: so many it is known to have."""
        for start in range(0, len(numbers), _RECEIPTS_PER_INSERT):
            some = numbers[start : start + _RECEIPTS_PER_INSERT].tolist()
            ends = [(n, piece) for n in some for piece in ["", *(f"{k}/" for k in range(pieces.get(n, 1) - 1))]]
            columns = {
                "account": pa.repeat("", len(ends)),
                "meter": pa.repeat("", len(ends)),
                "customer_id": pa.array([flush_receipt(partition, number) for number, _ in ends]),
                "minute": pa.repeat(pa.scalar(0, pa.uint32()), len(ends)),
                "grp": pa.array([end for _, end in ends]),
            }
            rows = usage_rows(columns, len(ends), month=month)
            await self._insert("usage_repaired", rows, f"receipts/{partition}/{month}")

    async def _mend_backfills(self, findings: StoreFindings, months: Sequence[int]) -> None:
        tables = RepairedBackfills(self._store, self._insert, months)
        await self._run_backfills(DerivedHistory(self._engine, findings.flushes), tables)

    async def _closed(self, findings: StoreFindings) -> list[int]:
        """The months to make again: also those that share a chunk of a backfill with one of them, in several pieces."""
        months = set(findings.usage)
        receipts = await self._store.rows(_BACKFILL_MONTHS, {"without_events": month_of(0)})
        kept = [(str(receipt), int(month)) for receipt, month in receipts]
        while True:
            more = set()
            for receipt, month in kept:
                *_, partition, chunk = receipt.split("/")
                flushes = findings.flushes[int(partition)]
                first = int(chunk) * BACKFILL_CHUNK
                within = (flushes.counted >= first) & (flushes.counted < first + BACKFILL_CHUNK)
                touched = {month, *flushes.months[within].tolist()}
                if touched & months:
                    more |= touched - months
            if not more:
                return sorted(months)
            months |= more

    async def _mend_rejects(self, findings: StoreFindings, month: int) -> None:
        """Adds the rejects of meters that are not there. Conflicts are not in `events`, and cannot be made again."""
        for partition, flushes in findings.flushes.items():
            chosen = flushes.counted[flushes.months == month]
            async for _, events, meters in self._measurable(partition, flushes, chosen, ()):
                first, last = (int(events["n"][place].as_py()) for place in (0, -1))
                place = {"p": partition, "first": first, "last": last}
                held = {tuple(row) for row in await self._store.rows(_REJECT_PLACES, place)}
                measurement = Measurement(events, meters.meters, month=month)
                for key in measurement.keys:
                    if not measurement.has_rejects(key):
                        continue
                    rows = measurement.rejects(key)
                    columns = (rows[name].to_pylist() for name in ("n", "offset", "place", "account", "meter"))
                    missing = pa.array([found not in held for found in zip(*columns, strict=True)], pa.bool_())
                    rows = with_piece(rows.filter(missing).combine_chunks(), 0)
                    if rows.num_rows:
                        await self._insert("rejects", rows, f"rejects/{partition}/{first}")
                        self._report(f"rejects: {rows.num_rows} of partition {partition} are made again")

    async def _begin(self, table: str) -> None:
        await self._store.command(f"DROP TABLE IF EXISTS {table}_repaired SYNC")
        await self._store.command(f"CREATE TABLE {table}_repaired AS {table}")

    async def _exchange(self, table: str, months: Sequence[int]) -> None:
        """Puts the repaired table in place of the old one, with the other months as they are."""
        for (month,) in await self._store.rows(MONTHS.format(table=table)):
            if int(month) not in months:
                await self._store.command(f"ALTER TABLE {table}_repaired ATTACH PARTITION {int(month):d} FROM {table}")
        await self._store.command(f"EXCHANGE TABLES {table} AND {table}_repaired")
        await self._store.command(f"DROP TABLE {table}_repaired SYNC")
        self._report(f"{table}: the arrival months {ranges(list(months))} are in place")

    async def _drop_put_aside(self, table: str, parts: Sequence[BrokenPart]) -> None:
        """Deletes the broken parts of the table that are still there: the rows that they had are in it again."""
        held = {(str(t), str(name)) for t, name, _ in await self._store.rows(_PUT_ASIDE)}
        for part in parts:
            if part.table == table and (part.table, part.name) in held:
                await self._store.command(
                    f"ALTER TABLE {table} DROP DETACHED PART '{part.name}' SETTINGS allow_drop_detached = 1"
                )

    async def _insert(self, table: str, rows: pa.Table, what: str) -> None:
        await self._store.insert(table, rows.combine_chunks(), self._token(what))

    def _token(self, what: str) -> str:
        """A token of its own for every insert: nothing is inserted twice here, and old tokens outlive lost rows."""
        self._inserts += 1
        return f"repair/{self._run}/{self._inserts}/{what}"


_SEVERAL_PIECES = "SELECT n, max(rows_pieces) FROM flushes WHERE p = {p:UInt16} AND rows_pieces > 1 GROUP BY n"

_UNCOUNT = """\
ALTER TABLE flushes UPDATE rows_month = 0
WHERE p = {p:UInt16} AND kind = 'done' AND n IN {numbers:Array(UInt64)} SETTINGS mutations_sync = 1"""

_FLUSHES_PER_MUTATION = 5_000

_PUT_ASIDE = "SELECT table, name, reason FROM system.detached_parts WHERE database = currentDatabase()"


class DerivedHistory:
    """`EventHistory` with the claims that were lost."""

    def __init__(self, engine: SqlEngine, flushes: Mapping[int, PartitionFlushes]) -> None:
        self._engine = engine
        self._flushes = flushes

    async def activation(self, partition: int, version: int) -> int | None:
        found: int | None = self._flushes[partition].activation(version)
        return found

    def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        return self._engine.read_events(partition, first_number, last_number)


class RepairedBackfills:
    """`BackfillTables` over the table that is made again. A chunk of another month is left to the worker."""

    def __init__(
        self, store: AsyncSqlClient, insert: Callable[[str, pa.Table, str], Awaitable[None]], months: Sequence[int]
    ) -> None:
        self._store = store
        self._insert = insert
        self._months = set(months)
        self._rejects = EmbeddedStore(SqlEngine(store))

    async def receipts(self, prefix: str) -> frozenset[str]:
        kept = await self._store.rows(_KEPT_RECEIPTS, {"prefix": prefix, "months": sorted(self._months)})
        return frozenset(str(receipt) for (receipt,) in kept)

    async def apply_backfill(self, table: Table, receipt: str, rows: pa.Table, piece: int = 0) -> ApplyOutcome:
        if table is Table.REJECTS:
            return await self._rejects.apply_backfill(table, receipt, rows, piece)
        (end,) = rows["grp"].filter(pc.equal(rows["meter"], "")).to_pylist()
        if rows["month"][0].as_py() not in self._months:
            return ApplyOutcome(ApplyResult.ALREADY_THERE, Extent(pieces=piece + 1, whole=True))
        await self._insert("usage_repaired", rows, f"{receipt}/{piece}")
        extent = Extent(pieces=piece + 1, through=end.partition("/")[2], whole=not end)
        return ApplyOutcome(ApplyResult.WRITTEN, extent)


def _consecutive(numbers: Numbers) -> Iterator[tuple[int, int]]:
    """The runs of numbers without a gap, each of a bounded length."""
    if len(numbers):
        ends = np.flatnonzero((np.diff(numbers) != 1) | (numbers[:-1] % _FLUSHES_PER_READ == _FLUSHES_PER_READ - 1))
        starts = [0, *(ends + 1).tolist()]
        for start, end in zip(starts, [*ends.tolist(), len(numbers) - 1], strict=True):
            yield int(numbers[start]), int(numbers[end])


def _of_one_set(
    events: pa.Table, flushes: PartitionFlushes, chosen: Numbers
) -> Iterator[tuple[int, list[int], pa.Table]]:
    """The events of the chosen flushes, cut where the month or the meter set changes."""
    numbers = events["n"].to_numpy().astype(np.int64)
    keep = np.isin(numbers, chosen)
    if not keep.all():
        events, numbers = events.filter(pa.array(keep)), numbers[keep]
    if not len(numbers):
        return
    months = flushes.months[np.searchsorted(flushes.counted, numbers)]
    versions = flushes.version_of(numbers)
    cuts = np.flatnonzero((np.diff(months) != 0) | (np.diff(versions) != 0)) + 1
    for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(numbers)], strict=True):
        yield int(months[start]), [int(numbers[start])], events.slice(start, end - start).combine_chunks()


_REPLAYED = pa.schema([*EVENTS, ("replay_of", pa.string()), ("replay_meter", pa.string())])


def _replayed(replays: Sequence[Replay]) -> pa.Table:
    """The replays of one flush as its events."""
    rows = [
        {name: replay.reject[name] for name in EVENTS.names}
        | {
            "n": replay.number,
            "arrival": replay.arrival,
            "flags": EventFlag.REPLAY,
            "replay_of": replay.reject["reject"],
            "replay_meter": replay.reject["meter"],
        }
        for replay in replays
    ]
    return pa.Table.from_pylist(rows, _REPLAYED)
