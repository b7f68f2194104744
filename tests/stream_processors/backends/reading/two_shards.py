"""Two shards and the Distributed tables of a cluster over them, all in one engine.

The engine takes itself for both servers of a cluster. What it has as either of them is decided in views, so that each
shard holds other rows: a statement is planned, cut up and merged as between servers, and only the wire is missing.
"""

from collections.abc import Sequence
from concurrent.futures import Executor

import pyarrow as pa

from schemas.flush import Table
from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.client import Parameters, Row, SqlThreads
from stream_processors.backends.sql.layout import Layout
from tests.cluster_of_two import CLUSTER
from tests.conftest import Databases
from tests.stream_processors.backends.reading.flushes import Opened

TABLES = (*(table.value for table in Table), "flushes")


def two_shards(chdb: Chdb, name: str, databases: Databases, threads: Executor) -> Opened:
    shards = [databases() for _ in range(2)]
    owners = [database.query_rows("SELECT currentDatabase()")[0][0] for database in shards]
    anywhere = chdb.database("default")
    anywhere.command(f"CREATE DATABASE {name}")
    for table in TABLES:
        anywhere.command(_on_each_server(f"{name}.{table}", [f"{owner}.{table}" for owner in owners]))
    layout = Layout(CLUSTER)
    for statement in layout.reading_statements(name):
        # There is nobody to send it to.
        anywhere.command(statement.replace(f" ON CLUSTER {CLUSTER}", ""))
    reading = chdb.database(f"{name}_all")
    return Opened(SqlThreads(reading, threads), [SqlThreads(shard, threads) for shard in shards])


def _on_each_server(view: str, tables: Sequence[str]) -> str:
    parts = [f"SELECT * FROM {table} WHERE shardNum() = {number}" for number, table in enumerate(tables, start=1)]
    return f"CREATE VIEW {view} AS {' UNION ALL '.join(parts)}"


class Spread(SqlThreads):
    """For rows that no flush brought: every other one to the other shard."""

    def __init__(self, opened: Opened) -> None:
        self._reading, self._shards = opened

    async def query(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        return await self._reading.query(sql, parameters)

    async def rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        return await self._reading.rows(sql, parameters)

    async def insert(self, table: str, rows: pa.Table, token: str) -> None:
        for number, shard in enumerate(self._shards):
            if places := range(number, rows.num_rows, len(self._shards)):
                await shard.insert(table, rows.take(list(places)), token)
