"""How a store is spoken to that many processes write to: as any, and with the condition inside the insert."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

import pyarrow as pa

from stream_processors.backends.sql.client import AsyncSqlClient, Parameters, SqlClient


class GuardedSqlClient(SqlClient, Protocol):
    """A SqlClient whose inserts can carry a condition that the store evaluates."""

    def insert_where(self, table: str, rows: pa.Table, guard: str, parameters: Parameters, token: str) -> None:
        """Insert the rows as one block where the guard holds as the statement starts, unless the token is remembered.

        Never sent a second time by itself: who has no answer does not know what became of it.
        """
        ...


class GuardedAsyncSqlClient(AsyncSqlClient):
    """Runs the blocking calls of such a client on threads."""

    def __init__(self, client: GuardedSqlClient, executor: Executor) -> None:
        super().__init__(client, executor)
        self._insert_where: Callable[[str, pa.Table, str, Parameters, str], None] = client.insert_where

    async def insert_where(self, table: str, rows: pa.Table, guard: str, parameters: Parameters, token: str) -> None:
        await self._run(lambda: self._insert_where(table, rows, guard, parameters, token))
