"""Reports of foreign records and decisions to skip them, in the usage store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from schemas.errors import Conflict
from schemas.foreign_record import ForeignRecord, RecordFault
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.set_aside import SqlSetAside, create_set_aside_table, require_set_aside_table
from tests.conftest import Databases

pytestmark = pytest.mark.anyio


def record(partition: int, offset: int, fault: RecordFault = RecordFault.CHECKSUM) -> ForeignRecord:
    return ForeignRecord(
        partition=partition, offset=offset, fault=fault, size=3, payload=b"\x00\xff\n", appended_at=-1_000
    )


async def test_reports_and_decisions_are_kept(databases: Databases, threads: ThreadPoolExecutor) -> None:
    """Each record once, however often and by however many processes it is reported; a decision is for one record."""
    database = databases()
    name = (database.query_rows("SELECT currentDatabase()"))[0][0]
    with pytest.raises(Conflict, match="tallyhouse migrate"):
        require_set_aside_table(database, name)
    for _ in range(2):
        create_set_aside_table(database, name)
    require_set_aside_table(database, name)
    stored = SqlSetAside(AsyncSqlClient(database, threads))
    assert await stored.counts() == {}
    foreign, damaged = record(0, 5, RecordFault.NO_HEADER), record(1, 2**40)
    await stored.set_aside([foreign, damaged])
    await stored.set_aside([damaged])
    await stored.set_aside([damaged, record(1, 7)])
    assert await stored.counts() == {0: 1, 1: 2}
    assert not await stored.is_skipped(1, 2**40)
    for _ in range(2):
        await stored.skip(damaged)
    assert await stored.is_skipped(1, 2**40)
    assert not await stored.is_skipped(0, 2**40)
    assert not await stored.is_skipped(1, 7)
    assert await stored.counts() == {0: 1, 1: 2}
    listed = await stored.list(10)
    assert [(each.record, each.is_skipped) for each in listed] == [
        (replace(foreign, payload=b""), False),
        (replace(record(1, 7), payload=b""), False),
        (replace(damaged, payload=b""), True),
    ]
    assert len(await stored.list(2)) == 2
