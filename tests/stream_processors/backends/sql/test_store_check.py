"""What a store lacks is found by its own numbers and receipts."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from schemas.flush import UNCOUNTED, FlushRows, Table
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.store.embedded import EmbeddedStore
from tests.conftest import Databases
from tests.contracts.stores import claim_of, rows_of

FLUSHES = 4
DELETE = "ALTER TABLE {table} DELETE WHERE {rows} SETTINGS mutations_sync = 1"


async def flush(store: EmbeddedStore, number: int, *, done: bool = True) -> None:
    await store.claim(claim_of(number, first=number, last=number))
    for table in Table:
        await store.apply(table, 0, number, rows_of(table, ["a"], number=number))
    if done:
        await store.finish(0, number, UNCOUNTED)


@pytest.fixture
def sql(databases: Databases, threads: ThreadPoolExecutor) -> AsyncSqlClient:
    return AsyncSqlClient(databases(), threads)


def damage_after(sql: AsyncSqlClient, *deleted: tuple[str, str], done: int = FLUSHES) -> Sequence[str]:
    """What is missing of partition 0 when rows of its flushes are deleted."""

    async def run() -> Sequence[str]:
        store = EmbeddedStore(SqlEngine(sql))
        for number in range(FLUSHES):
            await flush(store, number, done=number < done)
        # A barrier flush leaves no receipt.
        if done == FLUSHES:
            await store.claim(claim_of(FLUSHES, first=FLUSHES, last=FLUSHES - 1))
            await store.finish(0, FLUSHES, UNCOUNTED)
        for table, rows in deleted:
            await sql.command(DELETE.format(table=table, rows=rows))
        return await store.damage(0)

    return asyncio.run(run())


def test_a_complete_store_lacks_nothing(sql: AsyncSqlClient) -> None:
    """Nor does one before the first flush of a partition."""
    assert damage_after(sql) == []
    assert asyncio.run(SqlEngine(sql).damage(1)) == []


def test_a_flush_that_is_not_done_lacks_nothing(sql: AsyncSqlClient) -> None:
    """Its redo writes what is missing."""
    assert damage_after(sql, ("usage", f"customer_id = '0/{FLUSHES - 1}'"), done=FLUSHES - 1) == []


def test_the_first_flush_may_be_half_done(sql: AsyncSqlClient) -> None:
    """When no flush is done yet."""

    async def run() -> Sequence[str]:
        store = EmbeddedStore(SqlEngine(sql))
        await store.claim(claim_of(0))
        return await store.damage(0)

    assert asyncio.run(run()) == []


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        ("usage", "customer_id IN ('0/1', '0/2')", "the rows of 2 flushes between 1 and 2 are not in the table usage"),
        ("flushes", "n = 1 AND kind = 'claim'", "1 of 5 rows of the kind 'claim' are not in the table flushes"),
        ("flushes", "n = 2 AND kind = 'done'", "1 of 5 rows of the kind 'done' are not in the table flushes"),
        ("flushes", "n >= 2 AND kind = 'done'", "flush 4 is claimed, but the last one done is 1"),
        ("flushes", "kind = 'done'", "flush 4 is claimed, but the last one done is none"),
    ],
)
def test_lost_rows_are_named(sql: AsyncSqlClient, table: str, rows: str, message: str) -> None:
    """A flush's receipt is in the block of its rows, so rows are lost together with their receipt."""
    assert message in " ".join(damage_after(sql, (table, rows)))


COUNTED = 5


def counted_damage(sql: AsyncSqlClient, *deleted: str, months: Sequence[int] = (202611,)) -> Sequence[str]:
    """What is missing after the statements. The flushes have row counts, and the months one after the other."""

    async def run() -> Sequence[str]:
        store = EmbeddedStore(SqlEngine(sql))
        for number in range(COUNTED):
            month = months[number % len(months)]
            await store.claim(claim_of(number, first=number, last=number))
            for table in Table:
                rows = rows_of(table, ["a", "b"], number=number)
                column = rows.schema.get_field_index("month")
                rows = rows.set_column(column, rows.schema.field(column), pa.array([month] * len(rows), pa.uint32()))
                await store.apply(table, 0, number, rows.combine_chunks())
            held = {table: len(rows_of(table, ["a", "b"], number=number)) for table in Table}
            counts = FlushRows(
                month=month, events=held[Table.EVENTS], pieces=1, rejects=held[Table.REJECTS], seen=held[Table.SEEN]
            )
            await store.finish(0, number, counts)
        assert await store.damage(0) == []
        for statement in deleted:
            await sql.command(f"{statement} SETTINGS mutations_sync = 1" if "DELETE" in statement else statement)
        return await store.damage(0)

    return asyncio.run(run())


@pytest.mark.parametrize("table", ["events", "rejects", "seen"])
def test_rows_that_left_no_trace_are_missed(sql: AsyncSqlClient, table: str) -> None:
    """No part is put aside, and no other table shows that they were there."""
    (found,) = counted_damage(sql, f"ALTER TABLE {table} DELETE WHERE n IN (1, 3)")
    assert "are lost in the table " + table in found
    assert "of 2 flushes between 1 and 3 in the month 202611" in found


def test_a_piece_of_usage_that_left_no_trace_is_missed(sql: AsyncSqlClient) -> None:
    """As a receipt that is gone."""
    found = counted_damage(sql, "ALTER TABLE usage DELETE WHERE customer_id = '0/2'")
    assert "1 pieces are lost in the table usage, of 1 flushes between 2 and 2 in the month 202611" in found


def test_doubled_rows_are_found(sql: AsyncSqlClient) -> None:
    (found,) = counted_damage(sql, "INSERT INTO seen SELECT * FROM seen WHERE n = 4")
    assert "are doubled in the table seen, of 1 flushes between 4 and 4" in found


def test_expired_keys_are_not_missed(sql: AsyncSqlClient) -> None:
    """A month of keys is dropped whole; a part of it is not, and the two newest months are never dropped."""
    months = (202609, 202610, 202611)
    assert counted_damage(sql, "ALTER TABLE seen DROP PARTITION 202609", months=months) == []


@pytest.mark.parametrize(
    "lost", ["ALTER TABLE seen DROP PARTITION 202610", "ALTER TABLE seen DELETE WHERE month = 202609 AND n = 3"]
)
def test_keys_that_cannot_have_expired_are_missed(sql: AsyncSqlClient, lost: str) -> None:
    (found,) = counted_damage(sql, lost, months=(202609, 202610, 202611))
    assert "lost in the table seen" in found


def test_flushes_of_earlier_releases_are_not_judged(sql: AsyncSqlClient) -> None:
    """Nor among flushes that are counted."""
    unjudged = "ALTER TABLE flushes UPDATE rows_month = 0 WHERE n = 2 AND kind = 'done' SETTINGS mutations_sync = 1"
    assert counted_damage(sql, unjudged, "ALTER TABLE seen DELETE WHERE n = 2") == []
    assert counted_damage(sql) == []
