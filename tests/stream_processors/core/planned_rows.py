"""All rows of a planned flush, table by table."""

from collections.abc import Iterator

import msgspec
import pyarrow as pa

from schemas.flush import NOTHING, Extent, Table
from schemas.hashing import KeyHashes
from schemas.tables import LAYOUTS, extent_of
from stream_processors.core.flush_plan import FlushCounts, FlushPlan
from tests.simulator.contents import end_of


class PlannedRows(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks of a flush, those of one table put together."""

    events: pa.Table
    usage: pa.Table
    rejects: pa.Table
    seen: pa.Table
    new_hashes: KeyHashes
    counts: FlushCounts

    def in_order(self) -> Iterator[tuple[Table, pa.Table]]:
        for table in Table:
            yield table, getattr(self, table.value)


def planned_rows(plan: FlushPlan) -> PlannedRows:
    """Takes all pieces, as a partition does."""
    tables = {
        table.value: pa.concat_tables([LAYOUTS[table].empty_table(), *pieces_of(plan, table)]).combine_chunks()
        for table in Table
    }
    return PlannedRows(**tables, new_hashes=plan.new_hashes, counts=plan.counts)


def pieces_of(plan: FlushPlan, table: Table, extent: Extent = NOTHING) -> list[pa.Table]:
    """The pieces from an extent on."""
    pieces: list[pa.Table] = []
    while (piece := plan.next_piece(table, extent)) is not None:
        pieces.append(piece)
        extent = extent_after(extent, table, piece)
    return pieces


def extent_after(before: Extent, table: Table, piece: pa.Table) -> Extent:
    """What the table holds with this piece too, by the rows of the piece."""
    if table in (Table.EVENTS, Table.SEEN):
        return Extent(pieces=1, whole=True)
    return msgspec.structs.replace(extent_of([end_of(table, piece)]), pieces=before.pieces + 1)
