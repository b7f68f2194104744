"""Every store fulfils the contracts of claims, tables and seen keys."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from hypothesis import given

from schemas.flush import Table
from schemas.tables import LAYOUTS
from stream_processors.backends.sql.clickhouse_http import ClickHouseDatabase
from stream_processors.backends.sql.client import AsyncSqlClient, GuardedAsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine, as_layout
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.memory import MemoryEngine
from stream_processors.backends.store.sharded import ShardedStore
from tests.conftest import Databases, HttpDatabases
from tests.contracts.claims import STEPS, ClaimsContract, Step, first_claims_stand
from tests.contracts.seen_keys import SeenKeysContract
from tests.contracts.stores import AnyStore, Subject
from tests.contracts.tables import TablesContract


class StoreContract(ClaimsContract, TablesContract, SeenKeysContract):
    """All contracts together."""


def in_memory(policy: Callable[[MemoryEngine], AnyStore]) -> Subject:
    engine = MemoryEngine()

    async def rows(table: Table) -> pa.Table:
        return engine.rows(table)

    async def lose_rows(table: Table) -> None:
        engine.blocks[table].clear()

    async def forget_tokens(table: Table) -> None:
        engine.tokens -= {token for token in engine.tokens if token[0] == table.value}

    return Subject(policy(engine), policy(engine), rows, lose_rows, forget_tokens)


class TestEmbeddedInMemory(StoreContract):
    """The embedded policy over the engine in memory."""

    @pytest.fixture
    def subject(self) -> Subject:
        return in_memory(EmbeddedStore)


class TestGuardedInMemory(StoreContract):
    """The cluster policy over the engine in memory."""

    @pytest.fixture
    def subject(self) -> Subject:
        return in_memory(GuardedStore)


class TestEmbeddedInChdb(StoreContract):
    """The embedded policy over the real engine."""

    @pytest.fixture
    def subject(self, databases: Databases, threads: ThreadPoolExecutor) -> Subject:
        sql = AsyncSqlClient(databases(), threads)
        engine = SqlEngine(sql)

        async def rows(table: Table) -> pa.Table:
            return as_layout(await sql.query(f"SELECT * FROM {table.value}"), LAYOUTS[table])

        return Subject(EmbeddedStore(engine), EmbeddedStore(engine), rows, lose(sql), forget(sql))


class TestShardedInMemory(StoreContract):
    """Three stores as one; the rival uses the same three."""

    @pytest.fixture
    def subject(self) -> Subject:
        return sharded([in_memory(GuardedStore) for _ in range(3)])


@pytest.mark.long
class TestShardedOverHttp(StoreContract):
    """Two databases of the engine in another process, as if they were two servers."""

    @pytest.fixture
    def subject(self, http_databases: HttpDatabases, threads: ThreadPoolExecutor) -> Subject:
        return sharded([over_http(http_databases(), threads) for _ in range(2)])


class TestGuardedOverHttp(StoreContract):
    """The cluster policy over the engine in another process."""

    @pytest.fixture
    def subject(self, http_databases: HttpDatabases, threads: ThreadPoolExecutor) -> Subject:
        return over_http(http_databases(), threads)


def over_http(database: ClickHouseDatabase, threads: ThreadPoolExecutor) -> Subject:
    sql = AsyncSqlClient(database, threads)

    def worker() -> GuardedStore:
        """A worker that shares nothing but the store with another."""
        return GuardedStore(SqlGuardedEngine(GuardedAsyncSqlClient(database, threads)))

    async def rows(table: Table) -> pa.Table:
        return as_layout(await sql.query(f"SELECT * FROM {table.value}"), LAYOUTS[table])

    return Subject(worker(), worker(), rows, lose(sql), forget(sql))


def sharded(shards: Sequence[Subject]) -> Subject:
    """Combine several subjects into one."""

    async def rows(table: Table) -> pa.Table:
        return pa.concat_tables([await shard.rows(table) for shard in shards])

    async def lose_rows(table: Table) -> None:
        for shard in shards:
            await shard.lose_rows(table)

    async def forget_tokens(table: Table) -> None:
        for shard in shards:
            await shard.forget_tokens(table)

    stores = ShardedStore([shard.store for shard in shards])
    rivals = ShardedStore([shard.rival for shard in shards])
    return Subject(stores, rivals, rows, lose_rows, forget_tokens)


def lose(sql: AsyncSqlClient) -> Callable[[Table], Awaitable[None]]:
    async def lose_rows(table: Table) -> None:
        """A mutation deletes the rows and keeps the tokens; dropping the partition would delete both."""
        await sql.command(f"ALTER TABLE {table.value} DELETE WHERE 1 SETTINGS mutations_sync = 2")

    return lose_rows


def forget(sql: AsyncSqlClient) -> Callable[[Table], Awaitable[None]]:
    async def forget_tokens(table: Table) -> None:
        for window in (0, 100_000):
            await sql.command(
                f"ALTER TABLE {table.value} MODIFY SETTING non_replicated_deduplication_window = {window}"
            )

    return forget_tokens


@pytest.mark.parametrize("policy", [EmbeddedStore, GuardedStore])
@given(steps=STEPS)
def test_a_number_never_has_two_claims(policy: Callable[[MemoryEngine], AnyStore], steps: list[Step]) -> None:
    """This holds whatever two workers claim and finish, in any order."""
    asyncio.run(first_claims_stand(in_memory(policy), steps))
