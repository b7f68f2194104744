"""Many processes write, and each may fail half-way: each flush is in each table once, or not yet."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.errors import StoreFailed
from schemas.flush import UNCOUNTED, ApplyResult, Table
from schemas.tables import backfill_receipt
from stream_processors.backends.sql.clickhouse_http import ClickHouseDatabase, ClickHousePool
from stream_processors.backends.sql.client import GuardedAsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.store.guarded import GuardedStore
from tests.backing_services.store_process import StoreProcess
from tests.backing_services.tcp_relay import Relay
from tests.conftest import HttpDatabases
from tests.contracts.stores import backfill_rows_of, claim_of, rows_of
from tests.stream_processors.backends.store.rival import NAMES, flush

RIVALS, RACES = 3, 6
KILLS = 5
RECEIPT = backfill_receipt("acme_live", "tokens", 0, 3)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path) as process:
        yield process


def new_database(server: ClickHousePool) -> ClickHouseDatabase:
    migrate(server.database("default"), "tallyhouse")
    return server.database("tallyhouse")


def engine_of(database: ClickHouseDatabase, threads: ThreadPoolExecutor) -> SqlGuardedEngine:
    return SqlGuardedEngine(GuardedAsyncSqlClient(database, threads))


def rows_in(database: ClickHouseDatabase) -> dict[str, int]:
    """The rows of each table, over all flushes. Rows of usage are merged in the background, but their counts stay."""
    counts = {table: "sum(count)" if table is Table.USAGE else "count()" for table in Table}
    return {
        table.value: int(database.query_rows(f"SELECT {count} FROM {table.value}")[0][0])
        for table, count in counts.items()
    }


def rows_after(flushes: int) -> dict[str, int]:
    return {table.value: flushes * rows_of(table, NAMES).num_rows for table in Table}


def test_processes_that_race_for_every_step_write_each_flush_once(process: StoreProcess) -> None:
    """Several workers act as the owner of the partition, and none waits for another."""
    with ClickHousePool(process.address, 1, EngineLimits()) as server:
        database = new_database(server)
        command = [sys.executable, "-m", "tests.stream_processors.backends.store.rival"]
        arguments = [str(process.address.port), "tallyhouse", str(RACES)]
        rivals = [
            subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(RIVALS)
        ]
        for rival in rivals:
            assert rival.stdout is not None
            assert rival.stdout.readline() == "ready\n"
        printed = _printed_by_all(rivals)
        assert [rival.returncode for rival in rivals] == [0] * RIVALS
        assert [len(lines) for lines in printed] == [RACES] * RIVALS
        assert rows_in(database) == rows_after(RACES)
        assert database.query_rows("SELECT kind, count(), uniqExact(n) FROM flushes GROUP BY kind ORDER BY kind") == [
            ("claim", RACES, RACES),
            ("done", RACES, RACES),
        ]


def _printed_by_all(rivals: list["subprocess.Popen[str]"]) -> list[list[str]]:
    """Start all of them at the same moment, and return the lines each printed."""
    printed: list[list[str]] = [[] for _ in rivals]

    def listen(place: int) -> None:
        printed[place] = rivals[place].communicate("go\n", timeout=120)[0].splitlines()

    listeners = [threading.Thread(target=listen, args=(place,)) for place in range(len(rivals))]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join()
    return printed


def test_a_late_statement_inserts_nothing(http_databases: HttpDatabases, threads: ThreadPoolExecutor) -> None:
    """Not even under a token unknown to the store: the guard alone keeps it out."""
    database = http_databases()
    engine = engine_of(database, threads)

    async def come_late() -> None:
        await flush(GuardedStore(engine), 0)
        await GuardedStore(engine).apply_backfill(Table.USAGE, RECEIPT, backfill_rows_of(Table.USAGE, RECEIPT))
        await engine.insert_guarded(Table.REJECTS, 0, 0, 0, rows_of(Table.REJECTS, ["another"]), "fresh 1")
        await engine.insert_claim_guarded(claim_of(0, last=5), "fresh 2")
        await engine.insert_done_guarded(0, 0, UNCOUNTED, "fresh 3")
        await engine.insert_backfill_guarded(Table.USAGE, RECEIPT, 0, backfill_rows_of(Table.USAGE, RECEIPT), "fresh 4")
        # Of a flush that is not done: its receipt decides.
        rows = rows_of(Table.SEEN, ["a"], number=1)
        for token in ("fresh 5", "fresh 6"):
            await engine.insert_guarded(Table.SEEN, 0, 1, 0, rows, token)

    asyncio.run(come_late())
    once = rows_after(1)
    assert rows_in(database) == {**once, "usage": once["usage"] + 2, "seen": once["seen"] + 1}
    assert database.query_rows("SELECT count() FROM flushes") == [(2,)]


def test_a_statement_that_arrives_after_the_flush_is_done_inserts_nothing(
    process: StoreProcess, threads: ThreadPoolExecutor
) -> None:
    """It was delayed on the wire while another worker did the flush, and has no effect in any table."""
    with Relay(process.address) as relay, ClickHousePool(process.address, 1, EngineLimits()) as server:
        database = new_database(server)
        with (
            ClickHousePool(relay.address, 4, EngineLimits()) as client,
            ThreadPoolExecutor(4) as statements,
            ThreadPoolExecutor(4) as others,
        ):
            dying = engine_of(client.database("tallyhouse"), statements)
            relay.may_send.clear()
            sent = [
                others.submit(asyncio.run, dying.insert_guarded(table, 0, 0, 0, rows_of(table, NAMES), "fresh"))
                for table in Table
            ]
            assert relay.held.wait(10)
            asyncio.run(flush(GuardedStore(engine_of(database, threads)), 0))
            relay.may_send.set()
            for late in sent:
                late.result(10)
        assert rows_in(database) == rows_after(1)


def test_a_step_whose_reply_was_lost_can_be_retried(process: StoreProcess) -> None:
    """The statement took effect, but the client cannot know: it retries the step and finds it done."""
    with Relay(process.address) as relay, ClickHousePool(relay.address, 1, EngineLimits()) as client:
        database = new_database(client)
        with ThreadPoolExecutor(1) as threads:
            engine = engine_of(database, threads)
            for number, table in enumerate(Table):
                rows = rows_of(table, NAMES, number=number)
                relay.may_answer.clear()
                with pytest.raises(StoreFailed):
                    asyncio.run(engine.insert_guarded(table, 0, number, 0, rows, f"0/{number}/{table.value}/0"))
                relay.may_answer.set()
                outcome = asyncio.run(GuardedStore(engine).apply(table, 0, number, rows)).result
                assert outcome in (ApplyResult.ALREADY_THERE, ApplyResult.WRITTEN)
        assert rows_in(database) == rows_after(1)


def test_an_insert_without_an_answer_is_not_retried_by_the_client(process: StoreProcess) -> None:
    """The client retries queries by itself; whether an insert is retried is for the store's policy to decide."""
    with Relay(process.address) as relay, ClickHousePool(relay.address, 1, EngineLimits()) as client:
        database = new_database(client)
        sent_over = relay.connections
        relay.may_answer.clear()
        with pytest.raises(StoreFailed):
            database.insert_arrow(Table.SEEN.value, rows_of(Table.SEEN, NAMES), "0/0/seen/0")
        assert relay.connections == sent_over
        with pytest.raises(StoreFailed):
            database.query_rows("SELECT 1")
        assert relay.connections > sent_over + 1


@pytest.mark.long
def test_a_store_killed_half_way_has_each_flush_once(process: StoreProcess) -> None:
    """After kills at any moment and restarts, retried steps write every flush once."""
    stop = threading.Event()
    flushed = 0

    async def work(store: GuardedStore) -> None:
        nonlocal flushed
        while not stop.is_set():
            try:
                await flush(store, flushed)
                flushed += 1
            except StoreFailed:
                await asyncio.sleep(0.02)

    with ClickHousePool(process.address, 1, EngineLimits()) as server, ThreadPoolExecutor(1) as threads:
        database = new_database(server)
        worker = threading.Thread(target=asyncio.run, args=(work(GuardedStore(engine_of(database, threads))),))
        worker.start()
        try:
            for kill in range(KILLS):
                before = flushed
                while flushed <= before + kill:
                    assert worker.is_alive()
                    time.sleep(0.003)
                process.kill()
                process.start()
        finally:
            stop.set()
            worker.join()
        assert flushed >= KILLS
        assert rows_in(database) == rows_after(flushed)
