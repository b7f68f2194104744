"""Up to where the usage store was counted from the log, and the log's chain there.

Offsets alone do not show that a log was restored and has grown again: then it has other frames at the same offsets. The
store keeps the chain, so that a log with another history is recognised.
"""

from collections.abc import Mapping

import msgspec
import pyarrow as pa

from stream_processors.backends.sql.client import AsyncSqlClient

_CREATE = """\
CREATE TABLE IF NOT EXISTS log_positions (partition UInt32, number UInt64, offset UInt64, chain UInt64)
ENGINE = ReplacingMergeTree(number) ORDER BY partition
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"""

_READ = "SELECT partition, number, offset, chain FROM log_positions FINAL ORDER BY partition"

_LAYOUT = pa.schema(
    [("partition", pa.uint32()), ("number", pa.uint64()), ("offset", pa.uint64()), ("chain", pa.uint64())]
)


class LogPosition(msgspec.Struct, frozen=True):
    """A counted frame of a partition, and the chain after it."""

    offset: int
    chain: int


class SqlLogPositions:
    """The newest recorded position of each partition. One process writes it."""

    def __init__(self, store: AsyncSqlClient) -> None:
        self._store = store
        self._number = 0

    async def read(self) -> Mapping[int, LogPosition]:
        """The positions; none of a partition of which nothing was counted. Creates the table if it is missing."""
        await self._store.command(_CREATE)
        rows = await self._store.rows(_READ)
        self._number = max((number for _, number, _, _ in rows), default=0)
        return {partition: LogPosition(offset, chain) for partition, _, offset, chain in rows}

    async def record(self, positions: Mapping[int, LogPosition]) -> None:
        """The positions are on disk when this returns. Call `read` first."""
        self._number += 1
        rows = [
            {"partition": partition, "number": self._number, "offset": position.offset, "chain": position.chain}
            for partition, position in positions.items()
        ]
        await self._store.insert("log_positions", pa.Table.from_pylist(rows, _LAYOUT), f"log/{self._number}")
