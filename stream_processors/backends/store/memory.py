"""The usage store in memory: tables as lists of blocks, tokens as a real engine keeps them, the months of seen keys."""

import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.flush import NOTHING, UNCOUNTED, Claim, Extent, FlushProgress, FlushRows, SeenRows, Table
from schemas.hashing import KeyHashes, as_halves
from schemas.tables import LAYOUTS, SEEN, extent_of, flush_receipt, meter_place
from stream_processors.backends.store.engine import FlushState, KnownFlush
from stream_processors.backends.store.keyed_locks import KeyedLocks, SectionMemory

FLUSHES = "flushes"


class FlushDone(msgspec.Struct, frozen=True, kw_only=True):
    """The row "flush `number` of `partition` is done"."""

    partition: int
    number: int
    rows: FlushRows = UNCOUNTED


class MemoryEngine:
    """A `GuardedEngine` without a disk, which loses nothing: a simulator overrides the steps that may fail."""

    def __init__(self) -> None:
        self.blocks: dict[Table, list[pa.Table]] = {table: [] for table in Table}
        self.flushes: list[Claim | FlushDone] = []
        self.tokens: set[tuple[str, int, str]] = set()
        """Table, table partition and token, as the engines keep them."""
        self._locks: KeyedLocks[KnownFlush] = KeyedLocks()
        self._commit = threading.Lock()

    def exclusive(self, section: int | str) -> AbstractAsyncContextManager[SectionMemory[KnownFlush]]:
        return self._locks.hold(section)

    # Reads

    async def highest(self, partition: int) -> Sequence[FlushProgress]:
        numbers = [claim.number for claim in self._claims(partition)]
        return self._progress(partition, max(numbers)) if numbers else []

    async def claims_from(self, partition: int, number: int) -> Sequence[FlushProgress]:
        return self._progress(partition, number)

    async def is_done(self, partition: int, number: int) -> bool:
        return self._is_done(partition, number)

    async def extent(self, table: Table, partition: int, number: int) -> Extent:
        return self._extent(table, partition, number)

    async def flush_state(self, table: Table, partition: int, number: int) -> FlushState:
        return FlushState(extent=self._extent(table, partition, number), done=self._is_done(partition, number))

    async def backfill_extent(self, table: Table, receipt: str) -> Extent:
        return self._backfill_extent(table, receipt)

    async def damage(self, partition: int) -> Sequence[str]:
        """Nothing: a memory that is damaged is gone."""
        del partition
        return ()

    async def receipts(self, prefix: str) -> frozenset[str]:
        return frozenset(receipt for receipt, end in self._receipts() if receipt.startswith(prefix) and not end)

    def rows(self, table: Table) -> pa.Table:
        """All rows of a table, in the order of its blocks."""
        return pa.concat_tables([LAYOUTS[table].empty_table(), *self.blocks[table]])

    # Inserts

    async def insert(self, table: Table, rows: pa.Table, token: str) -> None:
        if self._is_new(table.value, month_of(rows), token):
            self._append(table, rows)

    async def insert_claim(self, claim: Claim, token: str) -> None:
        if self._is_new(FLUSHES, 0, token):
            self.flushes.append(claim)

    async def insert_done(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        if self._is_new(FLUSHES, 0, token):
            self.flushes.append(FlushDone(partition=partition, number=number, rows=rows))

    async def holds(self, partition: int, number: int, tables: Collection[Table]) -> bool:
        extents = {table: self._extent(table, partition, number) for table in tables}
        return all(extent.whole or (table is Table.REJECTS and extent.pieces) for table, extent in extents.items())

    async def insert_guarded(
        self,
        table: Table,
        partition: int,
        number: int,
        piece: int,
        rows: pa.Table,
        token: str,
        after: Collection[Table] = (),
    ) -> None:
        if self._is_done(partition, number) or self._extent(table, partition, number).pieces > piece:
            return
        if await self.holds(partition, number, after):
            await self.insert(table, rows, token)

    async def insert_backfill_guarded(self, table: Table, receipt: str, piece: int, rows: pa.Table, token: str) -> None:
        if self._backfill_extent(table, receipt).pieces <= piece:
            await self.insert(table, rows, token)

    async def insert_claim_guarded(self, claim: Claim, token: str) -> None:
        if not self._progress(claim.partition, claim.number):
            await self.insert_claim(claim, token)

    async def insert_done_guarded(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        has_pieces = self._extent(Table.USAGE, partition, number).pieces == rows.pieces or not rows.pieces
        if not self._is_done(partition, number) and has_pieces and await self.holds(partition, number, rows.tables):
            await self.insert_done(partition, number, rows, token)

    async def quiesce(self) -> None:
        """Returns at once: no statement is ever in flight."""

    # Look-ups

    async def count(self, partition: int, below: int) -> int:
        return sum(rows.num_rows for rows in self._of_flushes(Table.SEEN, partition, 0, below - 1))

    async def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        for rows in self._of_flushes(Table.SEEN, partition, 0, below - 1):
            yield as_halves(b"".join(rows.column("key_hash").to_pylist()))

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return self._latest(Table.SEEN, partition, below, key_hashes)

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return self._latest(Table.EVENTS, partition, below, key_hashes)

    async def activation(self, partition: int, version: int) -> int | None:
        return min((claim.number for claim in self._claims(partition) if claim.version >= version), default=None)

    async def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        for rows in sorted(self._of_flushes(Table.EVENTS, partition, first_number, last_number), key=_number_of):
            yield rows

    # Helpers

    def _is_new(self, table: str, month: int, token: str) -> bool:
        """Remembers the token; False if it was remembered already."""
        key = (table, month, token)
        with self._commit:
            is_new = key not in self.tokens
            self.tokens.add(key)
        return is_new

    def _append(self, table: Table, rows: pa.Table) -> None:
        self.blocks[table].append(rows.cast(LAYOUTS[table]).combine_chunks())

    def _claims(self, partition: int) -> Iterator[Claim]:
        return (row for row in self.flushes if isinstance(row, Claim) and row.partition == partition)

    def _progress(self, partition: int, number: int) -> list[FlushProgress]:
        claims = dict.fromkeys(claim for claim in self._claims(partition) if claim.number >= number)
        return [FlushProgress(claim=claim, done=self._is_done(partition, claim.number)) for claim in claims]

    def _is_done(self, partition: int, number: int) -> bool:
        return any(
            isinstance(row, FlushDone) and (row.partition, row.number) == (partition, number) for row in self.flushes
        )

    def _extent(self, table: Table, partition: int, number: int) -> Extent:
        if table is Table.USAGE:
            return self._usage_extent(flush_receipt(partition, number))
        found = list(self._of_flushes(table, partition, number, number))
        if table is Table.REJECTS:
            return _rejects_extent(found, lambda row: meter_place(row["account"] if row["meter"] else "", row["meter"]))
        return Extent(pieces=1, whole=True) if found else NOTHING

    def _backfill_extent(self, table: Table, receipt: str) -> Extent:
        if table is Table.USAGE:
            return self._usage_extent(receipt)
        found = [rows for rows in self.blocks[table] if receipt in rows.column("origin").to_pylist()]
        return _rejects_extent(found, lambda row: str(row["n"]))

    def _usage_extent(self, receipt: str) -> Extent:
        return extent_of(end for found, end in self._receipts() if found == receipt)

    def _receipts(self) -> Iterator[tuple[str, str]]:
        """The receipts in `usage`: `customer_id` and `grp` of rows whose meter is empty."""
        for rows in self.blocks[Table.USAGE]:
            receipts = rows.filter(pc.equal(rows.column("meter"), ""))
            yield from zip(receipts["customer_id"].to_pylist(), receipts["grp"].to_pylist(), strict=True)

    def _of_flushes(self, table: Table, partition: int, first: int, last: int) -> Iterator[pa.Table]:
        # A block holds rows of one flush, so its first row identifies the flush.
        for rows in self.blocks[table]:
            if _partition_of(rows) == partition and first <= _number_of(rows) <= last and not _is_backfill(rows):
                yield rows

    def _latest(self, table: Table, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        wanted = pa.array(key_hashes, LAYOUTS[table].field("key_hash").type)
        latest: dict[bytes, tuple[int, int]] = {}
        for rows in self._of_flushes(table, partition, 0, below - 1):
            found = rows.filter(pc.is_in(rows.column("key_hash"), wanted)).select(["key_hash", "body_hash", "arrival"])
            arrivals = found.column("arrival").cast(pa.int64()).to_pylist()
            bodies = found.column("body_hash").to_pylist()
            for key, body, arrival in zip(found.column("key_hash").to_pylist(), bodies, arrivals, strict=True):
                if key not in latest or arrival > latest[key][0]:
                    latest[key] = (arrival, body)
        return SeenRows(
            list(latest), [body for _, body in latest.values()], [arrival for arrival, _ in latest.values()]
        )


def _rejects_extent(blocks: Sequence[pa.Table], end_of: Callable[[Mapping[str, Any]], str]) -> Extent:
    """Rows are in order of meters, or of flushes: the last row of the last piece shows where it ends."""
    if not blocks:
        return NOTHING
    last = max((rows.slice(rows.num_rows - 1).to_pylist()[0] for rows in blocks), key=itemgetter("piece"))
    return Extent(pieces=last["piece"] + 1, through=end_of(last), rows=sum(rows.num_rows for rows in blocks))


def _partition_of(rows: pa.Table) -> int:
    number: int = rows.column("p")[0].as_py()
    return number


def _number_of(rows: pa.Table) -> int:
    number: int = rows.column("n")[0].as_py()
    return number


def month_of(rows: pa.Table) -> int:
    month: int = rows.column("month")[0].as_py()
    return month


def _is_backfill(rows: pa.Table) -> bool:
    return "origin" in rows.column_names and rows.column("origin")[0].as_py() != ""


PRESERVED = 0
"""The month of the keys that outlive their month."""


class MemorySeenMonths:
    """`SeenMonths` over a MemoryEngine."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    async def seen_months(self) -> Sequence[int]:
        return sorted({month_of(rows) for rows in self._engine.blocks[Table.SEEN]} - {PRESERVED})

    async def last_arrival(self, partition: int) -> int | None:
        own = [rows for rows in self._engine.blocks[Table.SEEN] if rows.column("p")[0].as_py() == partition]
        months = [rows for rows in own if month_of(rows) != PRESERVED]
        return max((arrival for rows in months for arrival in rows.column("arrival").to_pylist()), default=None)

    async def preserve_replay_keys(self, month: int) -> None:
        # Every event of a flush has one key, and both are in one month. A replayed reject is a key without an event.
        events = self._engine.rows(Table.EVENTS)
        keys = events.filter(pc.equal(events.column("month"), month)).column("key_hash")
        for rows in [rows for rows in self._engine.blocks[Table.SEEN] if month_of(rows) == month]:
            replays = rows.filter(pc.invert(pc.is_in(rows.column("key_hash"), keys)))
            if replays.num_rows:
                column = replays.schema.get_field_index("month")
                preserved = replays.set_column(
                    column, SEEN.field("month"), pa.repeat(pa.scalar(PRESERVED, pa.uint32()), len(replays))
                )
                self._engine.blocks[Table.SEEN].append(preserved)

    async def drop_seen_month(self, month: int) -> None:
        """Drops the rows, and with them their tokens, as a real engine does."""
        kept = [rows for rows in self._engine.blocks[Table.SEEN] if month_of(rows) != month]
        self._engine.blocks[Table.SEEN] = kept
        self._engine.tokens -= {token for token in self._engine.tokens if token[:2] == (Table.SEEN.value, month)}
