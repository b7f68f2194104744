"""The store's data on disk, changed by one statement at a time, and the journal of the changes for the checks."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.flush import NOTHING, Claim, Extent, FlushRows, Table
from schemas.tables import extent_of
from schemas.timestamps import month_of
from tests.simulator.contents import Block, ByTable, end_of, origin_of


class ClaimAdded(msgspec.Struct, frozen=True):
    """A row of `flushes`."""

    claim: Claim


class DoneAdded(msgspec.Struct, frozen=True):
    """The other kind of row of `flushes`."""

    number: int
    rows: FlushRows


class BlockAdded(msgspec.Struct, frozen=True):
    """An insert into any other table."""

    block: Block


class BlocksLost(msgspec.Struct, frozen=True):
    """A power cut deleted blocks that were not on disk."""

    blocks: tuple[Block, ...]


class SeenDropped(msgspec.Struct, frozen=True):
    """Seen keys expired, with the arrivals of their frames."""

    arrivals: tuple[int, ...]


Entry = ClaimAdded | DoneAdded | BlockAdded | BlocksLost | SeenDropped


FLUSHES = "flushes"

SeenRow = tuple[int, bytes, int, int]
"""(flush number, key hash, body hash, arrival)."""


def _seen_rows(_table: Table, rows: list[dict[str, Any]]) -> list[SeenRow]:
    return [(row["n"], row["key_hash"], row["body_hash"], _micros(row["arrival"])) for row in rows]


def _micros(arrival: Any) -> int:
    return arrival if isinstance(arrival, int) else round(arrival.timestamp() * 1_000_000)


def _months(_table: Table, rows: list[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(sorted({row["month"] for row in rows}))


def parts_of(table: Table, rows: pa.Table) -> list[tuple[int, pa.Table]]:
    """An insert makes one part for each month in each of its record batches."""
    batches = rows.to_batches()
    months = months_of(table, rows)
    if len(batches) == 1 and len(months) == 1:
        return [(months[0], rows)]
    pieces = [pa.Table.from_batches([batch]) for batch in batches]
    return [
        (month, piece.filter(pc.equal(piece["month"], month))) for piece in pieces for month in months_of(table, piece)
    ]


seen_rows_of: Callable[[Table, pa.Table], list[SeenRow]] = ByTable(_seen_rows)
months_of: Callable[[Table, pa.Table], tuple[int, ...]] = ByTable(_months)


class Durable:
    """Tables as blocks, tokens by table and month, and the blocks that a power cut would delete."""

    def __init__(self, unsynced_tables: frozenset[Table] = frozenset()) -> None:
        self._unsynced_tables = unsynced_tables
        self._losing_rows = False
        self._has_token = False
        self.claims: list[Claim] = []
        self.done: list[int] = []
        self.blocks: list[Block] = []
        self.tokens: set[tuple[str, int, str]] = set()
        self.unsynced: list[Block] = []
        self.journal: list[Entry] = []

    def state(self) -> Hashable:
        return (
            tuple(self.claims),
            frozenset(self.done),
            frozenset((block.table, block.origin, block.end) for block in self.blocks),
            frozenset(self.tokens),
            len(self.unsynced),
        )

    def insert_claim(self, claim: Claim, token: str) -> None:
        if self.remembers(FLUSHES, 0, token):
            return
        self.claims.append(claim)
        self.journal.append(ClaimAdded(claim))

    def insert_done(self, number: int, rows: FlushRows, token: str) -> None:
        if self.remembers(FLUSHES, 0, token):
            return
        self.done.append(number)
        self.journal.append(DoneAdded(number, rows))

    def insert(self, table: Table, rows: pa.Table, token: str) -> None:
        """One part per month and record batch, each unless its token is stored."""
        for index, (month, part) in enumerate(parts_of(table, rows)):
            if not self.remembers(table, month, f"{token}#{index}"):
                self._add(Block(table, origin_of(table, part), part, end_of(table, part)))

    def remembers(self, table: str, month: int, token: str) -> bool:
        """True if the token is stored already; stores it."""
        if self._has_token:
            return False
        known = (table, month, token) in self.tokens
        self.tokens.add((table, month, token))
        return known or self._losing_rows

    def lose_rows_of(self, effect: Callable[[], None]) -> None:
        """The engine is killed after it wrote the token and before it renamed the part."""
        self._losing_rows = True
        effect()
        self._losing_rows = False

    def keep_token_of(self, effect: Callable[[], None]) -> bool:
        """The engine writes the token, and the rows later. False if the token was stored already."""
        before = len(self.tokens)
        self.lose_rows_of(effect)
        return len(self.tokens) > before

    def add_rows_of(self, effect: Callable[[], None]) -> None:
        """The engine renames the part whose token it wrote before."""
        self._has_token = True
        effect()
        self._has_token = False

    def _add(self, block: Block) -> None:
        self.blocks.append(block)
        self.journal.append(BlockAdded(block))
        if block.table in self._unsynced_tables:
            self.unsynced.append(block)

    def of(self, table: Table) -> Iterable[Block]:
        return (block for block in self.blocks if block.table is table)

    def extent(self, table: Table, origin: int | str) -> Extent:
        """What the table shows of a flush or of a chunk of a backfill."""
        ends = [block.end for block in self.of(table) if block.origin == origin]
        if table is Table.USAGE:
            return extent_of(ends)
        if table is Table.REJECTS:
            rows = sum(block.rows.num_rows for block in self.of(table) if block.origin == origin)
            return msgspec.structs.replace(extent_of(ends), whole=False, rows=rows)
        return Extent(pieces=1, whole=True) if ends else NOTHING

    def seen(self, below: int) -> list[SeenRow]:
        return self._rows_below(Table.SEEN, below)

    def events(self, below: int) -> list[SeenRow]:
        return self._rows_below(Table.EVENTS, below)

    def _rows_below(self, table: Table, below: int) -> list[SeenRow]:
        return [row for block in self.of(table) for row in seen_rows_of(table, block.rows) if row[0] < below]

    def months_of_seen(self) -> set[int]:
        return {month_of(row[3]) for row in self.seen(1 << 62)}

    def drop_seen(self, months: Iterable[int]) -> None:
        """Expiry drops whole table partitions."""
        gone = [block for block in self.of(Table.SEEN) if months_of(Table.SEEN, block.rows)[0] in set(months)]
        self.blocks = [block for block in self.blocks if block not in gone]
        arrivals = (row[3] for block in gone for row in seen_rows_of(Table.SEEN, block.rows))
        self.journal.append(SeenDropped(tuple(arrivals)))

    def power_cut(self) -> None:
        """Deletes everything that is not on disk."""
        lost = tuple(self.unsynced)
        self.unsynced = []
        self.blocks = [block for block in self.blocks if not any(block is gone for gone in lost)]
        self.journal.append(BlocksLost(lost))
