"""What a store lacks is found by its own numbers and receipts."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.flush import Table
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
        await store.finish(0, number)


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
            await store.finish(0, FLUSHES)
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
