"""The months of seen keys of the store in plain Python."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from schemas.flush import Table
from stream_processors.backends.store.memory import MemoryEngine


class MemorySeenMonths:
    """`SeenMonths` over a MemoryEngine."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    async def seen_months(self) -> Sequence[int]:
        return sorted({_month_of(rows) for rows in self._engine.blocks[Table.SEEN]})

    async def last_arrival(self, partition: int) -> int | None:
        own = (rows for rows in self._engine.blocks[Table.SEEN] if rows.column("p")[0].as_py() == partition)
        return max((arrival for rows in own for arrival in rows.column("arrival").to_pylist()), default=None)

    async def holds_replays(self, month: int) -> bool:
        # Every event of a flush has one key. A reject tried again has a key too, but is not one event more.
        return sum(self._sizes(Table.SEEN, month)) != sum(self._sizes(Table.EVENTS, month))

    async def drop_seen_month(self, month: int) -> None:
        """As a real engine does: the tokens go with the rows."""
        kept = [rows for rows in self._engine.blocks[Table.SEEN] if _month_of(rows) != month]
        self._engine.blocks[Table.SEEN] = kept
        self._engine.tokens -= {token for token in self._engine.tokens if token[:2] == (Table.SEEN.value, month)}

    def _sizes(self, table: Table, month: int) -> Iterator[int]:
        return (rows.num_rows for rows in self._engine.blocks[table] if _month_of(rows) == month)


def _month_of(rows: pa.Table) -> int:
    month: int = rows.column("month")[0].as_py()
    return month
