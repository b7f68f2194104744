"""The in-process engine: errors, parameters, cancelled callers."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from msgspec.structs import replace

from schemas.errors import StoreFailed
from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.client import AsyncSqlClient, Parameters, Row
from tests.conftest import Databases

pytestmark = pytest.mark.anyio


class SlowClient:
    """A client whose query blocks until it is released."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.may_answer = threading.Event()
        self.answered = threading.Event()

    def query_rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        self.called.set()
        assert self.may_answer.wait(10)
        self.answered.set()
        return []

    def query_arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        raise NotImplementedError

    def insert_arrow(self, table: str, rows: pa.Table, token: str) -> None:
        raise NotImplementedError

    def command(self, sql: str, parameters: Parameters | None = None) -> None:
        raise NotImplementedError


async def test_an_error_has_the_stores_own_code(databases: Databases) -> None:
    """The code can be looked up; the step may be retried."""
    with pytest.raises(StoreFailed, match=r"Code: 60\b.*no_such_table"):
        databases().query_rows("SELECT 1 FROM no_such_table")


async def test_a_handle_works_after_an_error(databases: Databases) -> None:
    """There are more errors than handles."""
    database = databases()
    for _ in range(5):
        with pytest.raises(StoreFailed):
            database.command("SELECT nonsense(")
    assert database.query_rows("SELECT 1") == [(1,)]


async def test_values_are_bound_not_pasted(databases: Databases) -> None:
    """Any name of a customer is stored as it is."""
    odd = "it's \\ {p:String} \n 日本 %s"
    assert databases().query_rows("SELECT {name:String}, {list:Array(String)}", {"name": odd, "list": [odd]}) == [
        (odd, [odd])
    ]


async def test_databases_are_separate(databases: Databases) -> None:
    """A handle that served one database does not write into another."""
    first, second = databases(), databases()
    row = pa.table({"number": pa.array([77], pa.uint32()), "name": ["other"]})
    for _ in range(4):
        first.insert_arrow("migrations", row, "t")
        assert second.query_rows("SELECT count() FROM migrations WHERE number = 77") == [(0,)]
    assert first.query_rows("SELECT count() FROM migrations WHERE number = 77") != [(0,)]


def named(numbers: Sequence[int]) -> pa.Table:
    return pa.table({"number": pa.array(numbers, pa.uint32()), "name": [f"name {number}" for number in numbers]})


@pytest.mark.parametrize("rows", [1, 70_000, 300_000])
async def test_an_insert_is_one_part_and_its_token_drops_the_second(databases: Databases, rows: int) -> None:
    """Rows become visible together, also above the engine's usual sizes of a block."""
    database, count = databases(), "SELECT count(), max(rows) FROM system.parts WHERE table = 'one' AND active"
    database.command(
        "CREATE TABLE one (number UInt32, name String) ENGINE = MergeTree ORDER BY number "
        "SETTINGS non_replicated_deduplication_window = 10"
    )
    database.command("SYSTEM STOP MERGES one")
    first, in_chunks = named(range(rows)), pa.concat_tables([named([number]) for number in range(min(rows, 3))])
    for _ in range(2):
        database.insert_arrow("one", first, "first")
        assert database.query_rows(f"{count} AND database = currentDatabase()") == [(1, rows)]
    for _ in range(2):
        database.insert_arrow("one", in_chunks, "in chunks")
        assert database.query_rows(f"{count} AND database = currentDatabase()") == [(2, rows)]
    database.command("DROP TABLE one")


async def test_an_insert_that_fails_inserts_nothing_and_leaves_nothing_behind(databases: Databases) -> None:
    """The error has the engine's code; later inserts are not affected, of which there are more than handles."""
    database = databases()
    misnamed = pa.table({"number": pa.array([78], pa.uint32()), "nam": ["x"]})
    unreadable = pa.table({"number": ["seventy-eight"], "name": ["x"]})
    for attempt in range(5):
        with pytest.raises(StoreFailed, match=r"Code: 16\b"):
            database.insert_arrow("migrations", misnamed, f"misnamed {attempt}")
        with pytest.raises(StoreFailed, match=r"Code: \d+\b"):
            database.insert_arrow("migrations", unreadable, f"unreadable {attempt}")
    stored = "SELECT count() FROM migrations WHERE number = 78"
    assert database.query_rows(stored) == [(0,)]
    database.insert_arrow("migrations", named([78]), "good")
    assert database.query_rows(stored) == [(1,)]


async def test_an_insert_over_its_memory_fails_and_the_next_one_does_not(chdb: Chdb, databases: Databases) -> None:
    """The limit of a statement holds for inserts too, and ends no process."""
    database = databases()
    database.command("CREATE TABLE limited (number UInt32, name String) ENGINE = MergeTree ORDER BY number")
    with Chdb(chdb._path, 1, replace(chdb._limits, query_memory=20_000_000)) as small:
        limited = small.database(database._name)
        with pytest.raises(StoreFailed, match=r"Code: 241\b"):
            limited.insert_arrow("limited", named(range(1_000_000)), "large")
        limited.insert_arrow("limited", named([78]), "small")
    assert database.query_rows("SELECT number FROM limited") == [(78,)]
    database.command("DROP TABLE limited")


@pytest.mark.parametrize("table", ["events", "usage", "rejects", "seen", "flushes", "shard", "migrations"])
async def test_what_a_merge_writes_is_on_disk_before_it_counts(databases: Databases, table: str) -> None:
    """The merged rows are deleted soon after."""
    database = databases()
    synced = "SELECT sum(value) FROM system.events WHERE event = 'FileSync'"
    for _ in range(2):
        database.command(f"INSERT INTO {table} SELECT * FROM generateRandom() LIMIT 1 SETTINGS insert_deduplicate = 0")
    (before,) = database.query_rows(synced)
    database.command(f"OPTIMIZE TABLE {table} FINAL")
    (after,) = database.query_rows(synced)
    assert after[0] - before[0] >= 5


async def test_queued_inserts_are_off(databases: Databases) -> None:
    """Queued inserts would be acknowledged together and split into other blocks."""
    settings = "SELECT value FROM system.settings WHERE name IN ('async_insert', 'deduplicate_insert') ORDER BY name"
    assert list(databases().query_rows(settings)) == [("0",), ("enable",)]


async def test_a_cancelled_call_returns_when_the_store_has_answered() -> None:
    """Otherwise the exclusive section would be free while its insert still runs."""
    client = SlowClient()
    with ThreadPoolExecutor(1) as executor:
        call = asyncio.create_task(AsyncSqlClient(client, executor).rows("SELECT 1"))
        await asyncio.to_thread(client.called.wait, 10)
        for _ in range(3):
            call.cancel()
            await asyncio.sleep(0.01)
            assert not call.done()
        client.may_answer.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert client.answered.is_set()
