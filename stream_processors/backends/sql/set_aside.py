"""Reports of foreign records in the log, and the decisions to skip some of them, in the usage store.

They stand beside the claims, because a decision takes part in what a flush counts. Every server of a cluster has the
whole table, so any one of them answers for all partitions.
"""

from collections.abc import Sequence
from string import Template
from typing import NamedTuple

import pyarrow as pa

from schemas.errors import Conflict
from schemas.foreign_record import ForeignRecord, RecordFault
from stream_processors.backends.sql.client import AsyncSqlClient, SqlClient
from stream_processors.backends.sql.topology import SINGLE_SERVER, StoreTopology

_NAME = "foreign_records"

_TABLE = Template(f"""\
CREATE TABLE IF NOT EXISTS $database.{_NAME}$on_cluster
(
    p UInt32,
    offset UInt64,
    kind Enum8('found' = 1, 'skip' = 2),
    fault LowCardinality(String),
    size UInt64,
    payload String,
    appended_at Int64
)
ENGINE = ${{replicated}}ReplacingMergeTree$replica
ORDER BY (p, offset, kind)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, $token_window""")

_LAYOUT = pa.schema(
    [
        ("p", pa.uint32()),
        ("offset", pa.uint64()),
        ("kind", pa.string()),
        ("fault", pa.string()),
        ("size", pa.uint64()),
        ("payload", pa.binary()),
        ("appended_at", pa.int64()),
    ]
)

_IS_SKIPPED = f"SELECT count() FROM {_NAME} WHERE p = {{p:UInt32}} AND offset = {{offset:UInt64}} AND kind = 'skip'"

_LIST = f"""\
SELECT p, offset, any(fault), any(size), any(appended_at), max(kind = 'skip')
FROM {_NAME} GROUP BY p, offset ORDER BY p, offset LIMIT {{limit:UInt32}}"""

_COUNTS = f"SELECT p, uniqExact(offset) FROM {_NAME} WHERE kind = 'found' GROUP BY p"


class SetAsideRecord(NamedTuple):
    """A report without the payload, and whether an operator has decided to skip the record."""

    record: ForeignRecord
    is_skipped: bool


def create_set_aside_table(anywhere: SqlClient, database: str, topology: StoreTopology = SINGLE_SERVER) -> None:
    """Idempotent."""
    anywhere.command(topology.render_for_all(_TABLE, database))


def require_set_aside_table(anywhere: SqlClient, database: str) -> None:
    """Raises Conflict if the table is missing. For a process that shares the store and does not migrate it."""
    ((exists,),) = anywhere.query_rows(f"EXISTS TABLE {database}.{_NAME}")
    if not exists:
        raise Conflict(f"the usage store {database!r} lacks the table {_NAME}: run `tallyhouse migrate` first")


class SqlSetAside:
    """The table of a migrated store."""

    def __init__(self, threads: AsyncSqlClient) -> None:
        self._threads = threads

    async def set_aside(self, records: Sequence[ForeignRecord]) -> None:
        """Stores the reports. Idempotent: the table keeps one row for each record."""
        await self._insert(records, "found")

    async def skip(self, record: ForeignRecord) -> None:
        """Stores the decision to skip the record, which is never withdrawn."""
        await self._insert([record], "skip")

    async def is_skipped(self, partition: int, offset: int) -> bool:
        """True once an operator has decided to skip the record."""
        ((found,),) = await self._threads.rows(_IS_SKIPPED, {"p": partition, "offset": offset})
        return bool(found)

    async def counts(self) -> dict[int, int]:
        """How many foreign records each partition has that has any."""
        rows = await self._threads.rows(_COUNTS)
        return {int(partition): int(found) for partition, found in rows}

    async def list(self, limit: int) -> Sequence[SetAsideRecord]:
        """The first `limit` reports in the order of the log."""
        return [
            SetAsideRecord(
                ForeignRecord(
                    partition=partition,
                    offset=offset,
                    fault=RecordFault(fault),
                    size=size,
                    payload=b"",
                    appended_at=appended_at,
                ),
                bool(is_skipped),
            )
            for partition, offset, fault, size, appended_at, is_skipped in await self._threads.rows(
                _LIST, {"limit": limit}
            )
        ]

    async def _insert(self, records: Sequence[ForeignRecord], kind: str) -> None:
        rows = [
            {
                "p": record.partition,
                "offset": record.offset,
                "kind": kind,
                "fault": record.fault.value,
                "size": record.size,
                "payload": record.payload,
                "appended_at": record.appended_at,
            }
            for record in records
        ]
        first, last = records[0], records[-1]
        token = f"{_NAME}/{kind}/{first.partition}/{first.offset}/{last.partition}/{last.offset}/{len(records)}"
        await self._threads.insert(_NAME, pa.Table.from_pylist(rows, schema=_LAYOUT), token)
