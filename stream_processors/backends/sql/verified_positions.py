"""How far verification in idle time has come, in the usage store."""

import pyarrow as pa

from schemas.verification import VerifiedPosition
from stream_processors.backends.sql.client import AsyncSqlClient

_CREATE = """\
CREATE TABLE IF NOT EXISTS verified_positions
(number UInt64, until Int64, account String, meter String, start Int64)
ENGINE = ReplacingMergeTree(number) ORDER BY tuple()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"""

_READ = "SELECT number, until, account, meter, start FROM verified_positions ORDER BY number DESC LIMIT 1"

_LAYOUT = pa.schema(
    [
        ("number", pa.uint64()),
        ("until", pa.int64()),
        ("account", pa.string()),
        ("meter", pa.string()),
        ("start", pa.int64()),
    ]
)


class SqlVerifiedPositions:
    """The newest recorded position. One process writes it."""

    def __init__(self, store: AsyncSqlClient) -> None:
        self._store = store
        self._number = 0

    async def read(self) -> VerifiedPosition:
        """Creates the table if it is missing."""
        await self._store.command(_CREATE)
        for number, until, account, meter, start in await self._store.rows(_READ):
            self._number = int(number)
            return VerifiedPosition(int(until), (str(account), str(meter), int(start)))
        return VerifiedPosition()

    async def record(self, position: VerifiedPosition) -> None:
        """The position is on disk when this returns. Call `read` first."""
        self._number += 1
        account, meter, start = position.checked_again
        row = {"number": self._number, "until": position.until, "account": account, "meter": meter, "start": start}
        await self._store.insert("verified_positions", pa.Table.from_pylist([row], _LAYOUT), f"verified/{self._number}")
