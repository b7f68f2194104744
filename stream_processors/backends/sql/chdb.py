"""The ClickHouse engine inside this process: one data directory, with a few handles on it."""

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import clickhouse_connect
import msgspec
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from stream_processors.backends.sql.chdb_statements import ChdbInserter, StatementFailed
from stream_processors.backends.sql.client import Parameters, Row, store_failure
from stream_processors.backends.sql.engine_settings import EngineLimits, insert_settings, session_settings

_Result = TypeVar("_Result")


class Chdb:
    """Owns the handles. A handle runs one statement at a time; a slow query on one does not hold up another.

    A process may open any number of these on one data directory, but never on two directories.
    """

    def __init__(self, path: Path, handles: int, limits: EngineLimits) -> None:
        self._path = path
        self._handles = handles
        self._limits = limits
        # Last in, first out: the most recently used handle has the warmest caches.
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._idle_inserters: queue.LifoQueue[ChdbInserter] = queue.LifoQueue()

    def __enter__(self) -> Self:
        for _ in range(self._handles):
            self._idle.put(self._open_handle())
            self._idle_inserters.put(ChdbInserter(self._path, self._limits))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in range(self._handles):
            self._idle_inserters.get().close()
            self._idle.get().close()

    def database(self, name: str) -> "ChdbDatabase":
        return ChdbDatabase(self, name)

    @contextmanager
    def handle(self) -> Iterator[Any]:
        """A handle for exclusive use, taken from the pool when one is free."""
        handle = self._idle.get()
        try:
            yield handle
        finally:
            self._idle.put(handle)

    @contextmanager
    def inserter(self) -> Iterator[ChdbInserter]:
        """An inserter for exclusive use, taken from the pool when one is free."""
        inserter = self._idle_inserters.get()
        try:
            yield inserter
        finally:
            self._idle_inserters.put(inserter)

    def _open_handle(self) -> Any:
        return clickhouse_connect.get_client(
            interface="chdb",
            path=str(self._path),
            settings=session_settings(self._limits),
            chdb_options=msgspec.to_builtins(self._limits.server_options()),
        )


class ChdbDatabase:
    """A SqlClient for one database of the engine."""

    def __init__(self, chdb: Chdb, name: str) -> None:
        self._chdb = chdb
        self._name = name

    def query_arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        # Not the client's own query_arrow: it sets and restores a setting around every call, at four times the cost.
        body = self._call(lambda handle: handle.raw_query(sql, parameters=parameters, fmt="Arrow"))
        return pa.ipc.open_file(pa.py_buffer(body)).read_all()

    def query_rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        rows: Sequence[Row] = self._call(lambda handle: handle.query(sql, parameters=parameters).result_rows)
        return rows

    def insert_arrow(self, table: str, rows: pa.Table, token: str) -> None:
        with self._chdb.inserter() as inserter:
            try:
                inserter.insert(self._name, table, rows, insert_settings(rows.num_rows, token))
            except StatementFailed as error:
                raise store_failure(error) from error

    def command(self, sql: str, parameters: Parameters | None = None) -> None:
        self._call(lambda handle: handle.command(sql, parameters=parameters))

    def _call(self, work: Callable[[Any], _Result]) -> _Result:
        with self._chdb.handle() as handle:
            try:
                handle.database = self._name
                return work(handle)
            except ClickHouseError as error:
                raise store_failure(error) from error
