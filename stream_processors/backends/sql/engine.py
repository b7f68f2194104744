"""The steps of the usage store in SQL, for a store that one process owns."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pyarrow as pa

from schemas.flush import NOTHING, UNCOUNTED, Claim, Extent, FlushProgress, FlushRows, SeenRows, Table
from schemas.hashing import KEY_BYTES, KeyHashes, as_halves
from schemas.tables import EVENTS, extent_of, flush_receipt, meter_place
from stream_processors.backends.sql import flush_statements as sql
from stream_processors.backends.sql.client import AsyncSqlClient, Row
from stream_processors.backends.sql.row_counts import counted_flushes
from stream_processors.backends.store.engine import FlushState, KnownFlush
from stream_processors.backends.store.keyed_locks import KeyedLocks, SectionMemory

FLUSHES = pa.schema(
    [
        ("p", pa.uint16()),
        ("n", pa.uint64()),
        ("kind", pa.string()),
        ("a", pa.int64()),
        ("b", pa.int64()),
        ("ver", pa.uint64()),
        ("rows_month", pa.uint32()),
        ("rows_events", pa.uint64()),
        ("rows_pieces", pa.uint32()),
        ("rows_rejects", pa.uint64()),
        ("rows_seen", pa.uint64()),
    ]
)

CHUNK_ROWS = 200_000
"""The approximate number of keys that one statement reads back."""

CHUNK_BYTES = 20_000_000
"""The approximate size of the events that one statement reads back."""

KEYS_PER_LOOKUP = 2_000
"""How many keys one statement looks up: their text must stay below the limit of the store's parser."""


class SqlEngine:
    """An `Engine` over a SqlClient."""

    def __init__(self, store: AsyncSqlClient) -> None:
        self._store = store
        self._locks: KeyedLocks[KnownFlush] = KeyedLocks()

    def exclusive(self, section: int | str) -> AbstractAsyncContextManager[SectionMemory[KnownFlush]]:
        return self._locks.hold(section)

    async def highest(self, partition: int) -> Sequence[FlushProgress]:
        return progress_of(partition, await self._store.rows(sql.HIGHEST, {"p": partition}))

    async def claims_from(self, partition: int, number: int) -> Sequence[FlushProgress]:
        return progress_of(partition, await self._store.rows(sql.CLAIMS_FROM, {"p": partition, "n": number}))

    async def is_done(self, partition: int, number: int) -> bool:
        return bool(await self._store.rows(sql.IS_DONE, {"p": partition, "n": number}))

    async def extent(self, table: Table, partition: int, number: int) -> Extent:
        place = {"p": partition, "n": number, "receipt": flush_receipt(partition, number)}
        return extent_of_rows(table, await self._store.rows(sql.PIECES[table], place))

    async def flush_state(self, table: Table, partition: int, number: int) -> FlushState:
        done = await self.is_done(partition, number)
        return FlushState(extent=await self.extent(table, partition, number), done=done)

    async def backfill_extent(self, table: Table, receipt: str) -> Extent:
        return extent_of_rows(table, await self._store.rows(sql.BACKFILL_PIECES[table], {"receipt": receipt}))

    async def damage(self, partition: int) -> Sequence[str]:
        numbers = await self._store.rows(sql.FLUSH_COUNTS, {"p": partition})
        if any(count != number + 1 for _, number, count in numbers):
            numbers = await self._store.rows(sql.FLUSH_NUMBERS, {"p": partition})
        done = max((int(number) for kind, number, _ in numbers if kind == "done"), default=-1)
        counted = await counted_flushes(self._store, partition)
        # Receipts are among what is counted: only flushes of earlier releases need to be looked through for them.
        missing = [] if counted.number == done + 1 else await self._missing_receipts(partition, done)
        return [
            *await self._broken_parts(),
            *_missing_flushes(numbers),
            *missing,
            *map(str, counted.differences),
        ]

    async def _broken_parts(self) -> Sequence[str]:
        parts = await self._store.rows(sql.BROKEN_PARTS)
        return [f"part {name} of the table {table} cannot be read, and was put aside" for table, name in parts]

    async def _missing_receipts(self, partition: int, done: int) -> Sequence[str]:
        place = {"p": partition, "prefix": flush_receipt(partition, 0).removesuffix("0"), "done": done}
        ((flushes, receipts),) = await self._store.rows(sql.RECEIPT_COUNTS, place)
        if flushes <= receipts:
            return []
        ((count, first, last),) = await self._store.rows(sql.WITHOUT_RECEIPT, place)
        return [f"the rows of {count} flushes between {first} and {last} are not in the table usage"] if count else []

    async def receipts(self, prefix: str) -> frozenset[str]:
        return frozenset(receipt for (receipt,) in await self._store.rows(sql.RECEIPTS, {"prefix": prefix}))

    async def insert(self, table: Table, rows: pa.Table, token: str) -> None:
        await self._store.insert(table.value, rows, token)

    async def insert_claim(self, claim: Claim, token: str) -> None:
        await self._store.insert("flushes", claim_row(claim), token)

    async def insert_done(self, partition: int, number: int, rows: FlushRows, token: str) -> None:
        await self._store.insert("flushes", done_row(partition, number, rows), token)

    async def count(self, partition: int, below: int) -> int:
        ((count,),) = await self._store.rows(sql.SEEN_COUNT, {"p": partition, "n": below})
        return int(count)

    async def all_hashes(self, partition: int, below: int) -> AsyncIterator[KeyHashes]:
        for start, end in slices_of_hashes(-(-await self.count(partition, below) // CHUNK_ROWS)):
            place = {"p": partition, "n": below, "start": start, "end": end}
            found = await self._store.query(sql.SEEN_SLICE, place)
            for chunk in found.column("key_hash").chunks:
                yield as_halves(_bytes_of(chunk))

    async def find(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return await self._find(Table.SEEN, partition, below, key_hashes)

    async def find_events(self, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        return await self._find(Table.EVENTS, partition, below, key_hashes)

    async def _find(self, table: Table, partition: int, below: int, key_hashes: Sequence[bytes]) -> SeenRows:
        found = SeenRows([], [], [])
        distinct = list(dict.fromkeys(key_hashes))
        for at in range(0, len(distinct), KEYS_PER_LOOKUP):
            statement = sql.find_statement(table, distinct[at : at + KEYS_PER_LOOKUP])
            rows = await self._store.query(statement, {"p": partition, "n": below})
            found = SeenRows(
                [*found.key_hashes, *rows.column("key_hash").to_pylist()],
                [*found.body_hashes, *rows.column("body").to_pylist()],
                [*found.arrivals, *rows.column("latest").to_pylist()],
            )
        return found

    async def activation(self, partition: int, version: int) -> int | None:
        rows = await self._store.rows(sql.ACTIVATION, {"p": partition, "ver": version})
        return int(rows[0][0]) if rows else None

    async def read_events(self, partition: int, first_number: int, last_number: int) -> AsyncIterator[pa.Table]:
        whole = {"p": partition, "first": first_number, "last": last_number}
        for first, last in runs_of_flushes(await self._store.rows(sql.EVENT_SIZES, whole)):
            rows = await self._store.query(sql.EVENTS_OF, {"p": partition, "first": first, "last": last})
            yield as_layout(rows, EVENTS)


def extent_of_rows(table: Table, rows: Sequence[Row]) -> Extent:
    """What a table holds of a flush or a chunk, by the rows of its statement in `PIECES` or `BACKFILL_PIECES`."""
    match table:
        case Table.USAGE:
            return extent_of(end for (end,) in rows)
        case Table.REJECTS if rows:
            piece, last, _ = max(rows, key=lambda row: int(row[0]))
            through = meter_place(*last[1:]) if isinstance(last, tuple) else str(last)
            return Extent(pieces=int(piece) + 1, through=through, rows=sum(int(count) for *_, count in rows))
        case Table.REJECTS:
            return NOTHING
        case _:
            return Extent(pieces=1, whole=True) if rows else NOTHING


def _missing_flushes(numbers: Sequence[Row]) -> Iterator[str]:
    """Gaps in the numbers of claims, and of flushes done, by rows (kind, highest number, how many)."""
    highest = {kind: int(number) for kind, number, _ in numbers}
    for kind, number, count in numbers:
        if count != number + 1:
            yield f"{number + 1 - count} of {number + 1} rows of the kind {kind!r} are not in the table flushes"
    if highest.get("done", -1) not in (claimed := highest.get("claim", -1), claimed - 1):
        yield f"flush {claimed} is claimed, but the last one done is {highest.get('done', 'none')}"


def claim_row(claim: Claim) -> pa.Table:
    claimed = (claim.first, claim.last, claim.version)
    return _flush_row(claim.partition, claim.number, "claim", claimed, UNCOUNTED)


def done_row(partition: int, number: int, rows: FlushRows) -> pa.Table:
    return _flush_row(partition, number, "done", (0, 0, 0), rows)


def _flush_row(partition: int, number: int, kind: str, claimed: tuple[int, int, int], rows: FlushRows) -> pa.Table:
    counts = (rows.month, rows.events, rows.pieces, rows.rejects, rows.seen)
    row = dict(zip(FLUSHES.names, (partition, number, kind, *claimed, *counts), strict=True))
    return pa.Table.from_pylist([row], FLUSHES)


def progress_of(partition: int, rows: Iterable[Row]) -> list[FlushProgress]:
    """Rows (number, first, last, version, whether it states that the flush is done), one entry per distinct claim."""
    rows = list(rows)
    done = {number for number, *_, is_done in rows if is_done}
    claims = sorted({tuple(claimed) for *claimed, is_done in rows if not is_done})
    return [
        FlushProgress(
            claim=Claim(partition=partition, number=number, first=first, last=last, version=version),
            done=number in done,
        )
        for number, first, last, version in claims
    ]


def slices_of_hashes(slices: int) -> Iterator[tuple[str, str]]:
    """Equal ranges that cover all hashes, each as first and last hash in hexadecimal."""
    top, width = 1 << (8 * KEY_BYTES), 2 * KEY_BYTES
    for index in range(slices):
        start, end = top * index // slices, top * (index + 1) // slices - 1
        yield f"{start:0{width}x}", f"{end:0{width}x}"


def runs_of_flushes(sizes: Iterable[Row]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive flushes of (number, bytes), each of at most `CHUNK_BYTES` unless one flush is larger."""
    run: list[int] = []
    size = 0
    for number, more in sizes:
        if run and size + more > CHUNK_BYTES:
            yield run[0], run[-1]
            run, size = [], 0
        run.append(number)
        size += more
    if run:
        yield run[0], run[-1]


def as_layout(rows: pa.Table, layout: pa.Schema) -> pa.Table:
    """Casts the store's own Arrow types to the layout's."""
    return rows.select(layout.names).cast(layout)


def _bytes_of(hashes: Any) -> bytes:
    """The concatenated bytes of a chunk of fixed-size hashes, as one slice."""
    start = hashes.offset * KEY_BYTES
    joined: bytes = hashes.buffers()[1][start : start + len(hashes) * KEY_BYTES].to_pybytes()
    return joined
