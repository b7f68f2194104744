"""The months of seen keys of the store in plain Python."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from schemas.flush import Table
from schemas.tables import SEEN
from stream_processors.backends.store.memory import MemoryEngine

ASIDE = 0
"""The month of what is put aside."""


class MemorySeenMonths:
    """`SeenMonths` over a MemoryEngine."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    async def seen_months(self) -> Sequence[int]:
        return sorted({_month_of(rows) for rows in self._engine.blocks[Table.SEEN]} - {ASIDE})

    async def last_arrival(self, partition: int) -> int | None:
        own = [rows for rows in self._engine.blocks[Table.SEEN] if rows.column("p")[0].as_py() == partition]
        months = [rows for rows in own if _month_of(rows) != ASIDE]
        return max((arrival for rows in months for arrival in rows.column("arrival").to_pylist()), default=None)

    async def preserve_replay_keys(self, month: int) -> None:
        # Every event of a flush has one key, and both are of one month. A reject tried again is a key without event.
        events = self._engine.rows(Table.EVENTS)
        keys = events.filter(pc.equal(events.column("month"), month)).column("key_hash")
        for rows in [rows for rows in self._engine.blocks[Table.SEEN] if _month_of(rows) == month]:
            replays = rows.filter(pc.invert(pc.is_in(rows.column("key_hash"), keys)))
            if replays.num_rows:
                place = replays.schema.get_field_index("month")
                aside = replays.set_column(
                    place, SEEN.field("month"), pa.repeat(pa.scalar(ASIDE, pa.uint32()), len(replays))
                )
                self._engine.blocks[Table.SEEN].append(aside)

    async def drop_seen_month(self, month: int) -> None:
        """As a real engine does: the tokens go with the rows."""
        kept = [rows for rows in self._engine.blocks[Table.SEEN] if _month_of(rows) != month]
        self._engine.blocks[Table.SEEN] = kept
        self._engine.tokens -= {token for token in self._engine.tokens if token[:2] == (Table.SEEN.value, month)}


def _month_of(rows: pa.Table) -> int:
    month: int = rows.column("month")[0].as_py()
    return month
