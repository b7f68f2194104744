"""Blocking calls to the usage store, plain and guarded, and the same calls for coroutines."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from schemas.errors import StatementTooLarge, StoreFailed

_LIMIT_CODES = re.compile(r"Code: (?:159|160|241|307|396)\. ")
"""The engine's codes for a statement over its limit of time, memory, bytes or rows."""


def store_failure(error: Exception) -> StoreFailed:
    """The failure that an error of the store, or of the connection to it, means."""
    kind = StatementTooLarge if _LIMIT_CODES.search(str(error)) else StoreFailed
    return kind(f"the usage store answered: {error}")


def insert_into(table: str, rows: pa.Table) -> str:
    """The beginning of an insert of these rows."""
    return f"INSERT INTO {table} ({', '.join(rows.column_names)})"


def one_block(rows: pa.Table) -> pa.Buffer:
    """The rows as ArrowStream in one record batch: rows split differently would be other blocks, and the store keeps a
    token per block."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return sink.getvalue()


Parameters = Mapping[str, Any]
"""Values for `{name:Type}` in a statement; they never become part of its text."""

Row = Sequence[Any]

_Result = TypeVar("_Result")


class SqlClient(Protocol):
    """One database of a store that speaks ClickHouse SQL. Thread-safe.

    Every method raises StoreFailed, with the store's own code, if it failed or its outcome is unknown.
    """

    def query_arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        """The result as columns."""
        ...

    def query_rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        """The result as Python values, which is faster for a few small rows."""
        ...

    def insert_arrow(self, table: str, rows: pa.Table, token: str) -> None:
        """Inserts the rows as one block, unless the store remembers an insert into the same month with this token."""
        ...

    def command(self, sql: str, parameters: Parameters | None = None) -> None:
        """Runs a statement without a result."""
        ...


class AsyncSqlClient:
    """Runs the blocking calls of a client on threads, for callers in any event loop.

    A cancelled call returns only when the store has answered. So when a caller releases an exclusive section, none of
    its statements is still running.
    """

    def __init__(self, client: SqlClient, executor: Executor) -> None:
        self._client = client
        self._executor = executor

    async def query(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        return await self._run(lambda: self._client.query_arrow(sql, parameters))

    async def rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        return await self._run(lambda: self._client.query_rows(sql, parameters))

    async def insert(self, table: str, rows: pa.Table, token: str) -> None:
        await self._run(lambda: self._client.insert_arrow(table, rows, token))

    async def command(self, sql: str, parameters: Parameters | None = None) -> None:
        await self._run(lambda: self._client.command(sql, parameters))

    async def _run(self, call: Callable[[], _Result]) -> _Result:
        future = asyncio.get_running_loop().run_in_executor(self._executor, call)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            future.exception()  # retrieved, so that it is not logged
            raise cancelled
        return future.result()


class GuardedSqlClient(SqlClient, Protocol):
    """A SqlClient whose inserts can carry a condition that the store evaluates."""

    def insert_where(self, table: str, rows: pa.Table, guard: str, parameters: Parameters, token: str) -> None:
        """Inserts the rows as one block if the guard holds as the statement starts, unless the token is remembered.

        Never retried by the client: without an answer the outcome is unknown.
        """
        ...


class GuardedAsyncSqlClient(AsyncSqlClient):
    """Runs the blocking calls of a `GuardedSqlClient` on threads."""

    def __init__(self, client: GuardedSqlClient, executor: Executor) -> None:
        super().__init__(client, executor)
        self._insert_where: Callable[[str, pa.Table, str, Parameters, str], None] = client.insert_where

    async def insert_where(self, table: str, rows: pa.Table, guard: str, parameters: Parameters, token: str) -> None:
        await self._run(lambda: self._insert_where(table, rows, guard, parameters, token))
