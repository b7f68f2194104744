"""The months of seen keys of the store in memory."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from schemas.flush import Table
from schemas.tables import SEEN
from stream_processors.backends.store.memory import MemoryEngine, month_of

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
        """Drop the rows, and with them their tokens, as a real engine does."""
        kept = [rows for rows in self._engine.blocks[Table.SEEN] if month_of(rows) != month]
        self._engine.blocks[Table.SEEN] = kept
        self._engine.tokens -= {token for token in self._engine.tokens if token[:2] == (Table.SEEN.value, month)}
