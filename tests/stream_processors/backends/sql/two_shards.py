"""Two shards, read like those of a cluster."""

from collections.abc import Sequence
from concurrent.futures import Executor

import pyarrow as pa

from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.client import AsyncSqlClient, Parameters, Row
from stream_processors.backends.sql.topology import distributed_database
from tests.backing_services.two_shard_engine import read_as_one
from tests.conftest import Databases
from tests.stream_processors.backends.sql.step_by_step_flushes import StoreClients


def two_shards(chdb: Chdb, name: str, databases: Databases, threads: Executor) -> StoreClients:
    shards = [databases() for _ in range(2)]
    own_names = [shard.query_rows("SELECT currentDatabase()")[0][0] for shard in shards]
    read_as_one(chdb.database("default"), own_names, name)
    reading = chdb.database(distributed_database(name))
    return StoreClients(AsyncSqlClient(reading, threads), [AsyncSqlClient(shard, threads) for shard in shards])


class AlternatingShards(AsyncSqlClient):
    """Inserts rows that no flush wrote, alternating between the shards."""

    def __init__(self, opened: StoreClients) -> None:
        self._reading, self._shards = opened

    async def query(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        return await self._reading.query(sql, parameters)

    async def rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        return await self._reading.rows(sql, parameters)

    async def insert(self, table: str, rows: pa.Table, token: str) -> None:
        for number, shard in enumerate(self._shards):
            if places := range(number, rows.num_rows, len(self._shards)):
                await shard.insert(table, rows.take(list(places)), token)
