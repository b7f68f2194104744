"""A repaired store equals the one that was damaged, in every row, and counts on exactly."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from schemas.timestamps import DAY
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.repair import SqlRepair
from stream_processors.backends.sql.store_findings import StoreFindings
from stream_processors.backends.sql.store_inspection import StoreInspection
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.ports import BackfillTables, EventHistory
from tests.conftest import Databases
from tests.factories import NOW, Event, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline

ROUNDS = 10
FIRST, SECOND, THIRD = 202611, 202612, 202701

CONTENTS = {
    "usage": """\
SELECT account, meter, customer_id, minute, grp, sum(count), sum(sum), max(latest),
    arraySort(groupUniqArrayArray(uniques))
FROM usage WHERE meter != '' GROUP BY account, meter, customer_id, minute, grp ORDER BY ALL""",
    "receipts": """\
SELECT customer_id, uniqExact(grp), min(grp) FROM usage WHERE meter = '' GROUP BY customer_id ORDER BY ALL""",
    "seen": "SELECT p, n, key_hash, body_hash, arrival, month FROM seen ORDER BY ALL",
    "flushes": "SELECT p, n, kind, a, b, ver FROM flushes ORDER BY ALL",
    "rejects": "SELECT p, n, offset, place, origin, meter, code, message, properties FROM rejects ORDER BY ALL",
}


class StoredPipeline(InMemoryPipeline):
    """The pipeline on a SQL store."""

    def __init__(self, sql: AsyncSqlClient) -> None:
        super().__init__()
        self.sql = sql
        self.store = EmbeddedStore(SqlEngine(sql))

    async def flush_all(self) -> None:
        for number in range(PARTITIONS):
            partition = self.partition(number)
            while await partition.step():
                pass

    async def backfill_all(self) -> None:
        backfill = self.backfill()
        while await backfill.step():
            pass

    async def fill(self) -> None:
        """Flushes of three months, some in several pieces; a meter that is backfilled over two of them."""
        self.meters.add(make_meter("requests"))
        self.meters.add(make_meter("tokens", "sum", group_by={"model": "$.model"}))
        self.meters.add(make_meter("who", "unique", value_property="$.model"))
        for number in range(ROUNDS):
            await self.post(events_of(number), NOW + number * 7 * DAY)
            await self.flush_all()
            if number == ROUNDS - 3:
                self.meters.add(make_meter("late", "latest", value_property="$.tokens"))
        await self.backfill_all()

    async def contents(self) -> dict[str, Any]:
        return {name: await self.sql.rows(statement) for name, statement in CONTENTS.items()}

    async def check(self, before: dict[str, Any]) -> None:
        """Every row is there again. Receipts may be of other pieces."""
        after = await self.contents()
        for name, rows in before.items():
            if name != "receipts":
                assert after[name] == rows, name
        assert [row[0] for row in after["receipts"]] == [row[0] for row in before["receipts"]]

    async def damage(self) -> Sequence[str]:
        return [text for number in range(PARTITIONS) for text in await self.store.damage(number)]

    async def findings(self) -> StoreFindings:
        positions = {number: self.log.end_offset(number) - 1 for number in range(PARTITIONS)}
        return await StoreInspection(self.sql, PARTITIONS, positions, self.meters).findings()

    async def repair(self) -> StoreFindings:
        async def run_backfills(history: EventHistory, tables: BackfillTables) -> None:
            backfill = Backfill(BackfillPorts(meters=self.meters, history=history, tables=tables), PARTITIONS)
            while await backfill.step():
                pass

        findings = await self.findings()
        await SqlRepair(self.sql, self.meters, run_backfills, "test", lambda _: None).mend(findings)
        return findings


def events_of(number: int) -> list[Event]:
    at = NOW + number * 7 * DAY
    return [
        make_event(
            f"{number}/{i}",
            {"tokens": "many" if i == 3 else number + i, "model": "abc"[i % 3]},
            customer_id=f"c{i % 4}",
            timestamp=at - i * 60_000_000,
        )
        for i in range(12)
    ]


@pytest.fixture
def pipeline(databases: Databases, threads: ThreadPoolExecutor) -> StoredPipeline:
    return StoredPipeline(AsyncSqlClient(databases(), threads))


def deleted(table: str, rows: str) -> str:
    return f"ALTER TABLE {table} DELETE WHERE {rows} SETTINGS mutations_sync = 1"


ALL_LOST = tuple(deleted(table, "1") for table in ("usage", "seen", "flushes"))


@pytest.mark.parametrize(
    "lost",
    [
        (deleted("usage", f"month = {SECOND}"),),
        (deleted("usage", f"month = {FIRST} AND meter = ''"),),
        (deleted("usage", "meter = '' AND startsWith(grp, '0/')"),),
        (deleted("usage", "customer_id IN ('0/3', '1/5')"),),
        (f"ALTER TABLE usage DROP PARTITION {FIRST}",),
        (f"ALTER TABLE usage DROP PARTITION {THIRD}", f"ALTER TABLE seen DROP PARTITION {THIRD}"),
        (deleted("seen", "n % 2 = 1"),),
        (f"ALTER TABLE seen DROP PARTITION {SECOND}",),
        (deleted("flushes", "n % 3 = 1 AND kind = 'claim'"),),
        (deleted("flushes", "kind = 'done'"),),
        (deleted("flushes", "n = 4"), deleted("usage", f"month = {SECOND}"), deleted("seen", "p = 1")),
        (deleted("rejects", f"meter = 'tokens' AND origin = '' AND month = {SECOND}"),),
    ],
)
def test_a_repaired_store_has_every_row_again(pipeline: StoredPipeline, lost: Sequence[str]) -> None:
    """Usage and receipts in their months, keys, claims and rejects."""

    async def run() -> None:
        await pipeline.fill()
        assert await pipeline.damage() == []
        assert (await pipeline.findings()).lines() == ["the usage store is complete"]
        before = await pipeline.contents()
        for statement in lost:
            await pipeline.sql.command(statement)
        assert await pipeline.contents() != before
        assert (await pipeline.findings()).has_work
        await pipeline.repair()
        await pipeline.check(before)
        assert await pipeline.damage() == []
        assert (await pipeline.findings()).lines() == ["the usage store is complete"]

    asyncio.run(run())


@pytest.mark.parametrize(
    "lost", [(deleted("flushes", "1"),), (deleted("flushes", "n >= 3"),), (deleted("flushes", "n < 4"),), ALL_LOST]
)
def test_a_store_whose_claims_are_derived_counts_on_exactly(pipeline: StoredPipeline, lost: Sequence[str]) -> None:
    """Which meter set each flush had is not known: but every event is counted once, and no other afterwards."""

    async def run() -> None:
        await pipeline.fill()
        before = await pipeline.contents()
        for statement in lost:
            await pipeline.sql.command(statement)
        findings = await pipeline.repair()
        assert not findings.is_certain
        after = await pipeline.contents()
        assert after["usage"] == before["usage"]
        # Of a month of which no key is left, all may have expired; the two newest cannot have.
        recent = [row for row in before["seen"] if row[-1] > FIRST]
        assert [row for row in after["seen"] if row[-1] > FIRST] == recent
        assert await pipeline.damage() == []
        for number in range(ROUNDS):  # What is still within the window counts once.
            if number >= ROUNDS - 4:
                await pipeline.post(events_of(number), NOW + ROUNDS * 7 * DAY)
        await pipeline.flush_all()
        await pipeline.backfill_all()
        assert (await pipeline.contents())["usage"] == before["usage"]
        await pipeline.post(events_of(ROUNDS), NOW + ROUNDS * 7 * DAY)
        await pipeline.flush_all()
        counted = await pipeline.sql.rows("SELECT sum(count) FROM usage WHERE meter = 'late'")
        assert counted[0][0] == 11 * (ROUNDS + 1)

    asyncio.run(run())


class Ended(Exception):
    """The process was killed."""


class Killed(AsyncSqlClient):
    """Fails at a statement that changes something."""

    def __init__(self, inner: AsyncSqlClient, statements: int) -> None:
        self._inner, self._left = inner, statements

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Ended

    async def query(self, sql: str, parameters: Any = None) -> Any:
        return await self._inner.query(sql, parameters)

    async def rows(self, sql: str, parameters: Any = None) -> Any:
        return await self._inner.rows(sql, parameters)

    async def command(self, sql: str, parameters: Any = None) -> None:
        self._spend()
        await self._inner.command(sql, parameters)

    async def insert(self, table: str, rows: Any, token: str) -> None:
        self._spend()
        await self._inner.insert(table, rows, token)


def test_a_repair_may_end_anywhere(pipeline: StoredPipeline) -> None:
    """After any number of its statements, the next one makes the same store."""

    async def run() -> None:
        sql = pipeline.sql
        await pipeline.fill()
        before = await pipeline.contents()
        await sql.command(deleted("usage", f"month != {SECOND}"))
        await sql.command(deleted("seen", "n % 2 = 1"))
        await sql.command(deleted("flushes", "n % 3 = 1 AND kind = 'claim'"))
        kills = 0
        while True:
            pipeline.sql = Killed(sql, 3 * kills)
            try:
                await pipeline.repair()
                break
            except Ended:
                kills += 1
        pipeline.sql = sql
        await pipeline.check(before)
        assert kills > 5
        assert (await pipeline.findings()).lines() == ["the usage store is complete"]
        assert await pipeline.damage() == []

    asyncio.run(run())


def test_usage_of_a_month_whose_events_are_lost_is_left_alone(pipeline: StoredPipeline) -> None:
    """Making it again would lose more."""

    async def run() -> None:
        await pipeline.fill()
        ((n,),) = await pipeline.sql.rows(f"SELECT min(n) FROM events WHERE p = 0 AND month = {SECOND}")
        await pipeline.sql.command(deleted("events", f"p = 0 AND n = {n}"))
        await pipeline.sql.command(deleted("usage", f"customer_id = '0/{n}'"))
        before = await pipeline.contents()
        findings = await pipeline.repair()
        assert await pipeline.contents() == before
        text = "\n".join(findings.lines())
        assert f"of partition 0, of the flushes {n} in the arrival month {SECOND}, are not in the table events" in text
        assert "are damaged and not made again, because events of it are lost" in text
        assert await pipeline.damage() != []

    asyncio.run(run())
