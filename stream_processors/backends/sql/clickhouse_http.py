"""A ClickHouse server over HTTP: one address, one connection pool shared by many threads."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import clickhouse_connect
import msgspec
import pyarrow as pa
from clickhouse_connect.driver.binding import bind_query
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.exceptions import HTTPError

from schemas.tables import HASH, LATEST, MICROS, QUANTITY
from stream_processors.backends.sql.client import Parameters, Row, insert_into, one_block, store_failure
from stream_processors.backends.sql.engine_settings import (
    EngineLimits,
    EngineSettings,
    guarded_insert_settings,
    insert_settings,
    session_settings,
)

_TYPES = {
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.int64(): "Int64",
    pa.string(): "String",
    # An instant, without its time zone, which would need nested quotes. The stored value has the column's.
    MICROS: "DateTime64(6)",
    HASH: "FixedString(16)",
    QUANTITY: "Decimal(38, 12)",
    pa.list_(HASH): "Array(FixedString(16))",
}

_MAY_BE_NULL = ("min", "max")


def structure_of(layout: pa.Schema) -> str:
    """The layout as the engine's column list, such as `p UInt16, n UInt64`."""
    return ", ".join(f"{field.name} {_type_of(field)}" for field in layout)


def _type_of(field: pa.Field) -> str:
    if field.type == LATEST:
        return f"Tuple({structure_of(pa.schema(list(LATEST)))})"
    return f"Nullable({_TYPES[field.type]})" if field.name in _MAY_BE_NULL else _TYPES[field.type]


CONNECT_SECONDS = 5

_Result = TypeVar("_Result")


class ServerAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Address of a server, and the credentials for it."""

    host: str
    port: int = 8123
    user: str = "default"
    password: str = ""
    encrypted: bool = False

    def __repr__(self) -> str:
        """The address without the password, for logs."""
        scheme = "https" if self.encrypted else "http"
        return f"{scheme}://{self.user}@{self.host}:{self.port}"


class ClickHousePool:
    """Owns as many connections as `connections` threads keep busy. It reconnects by itself to a restarted server."""

    def __init__(
        self, address: ServerAddress, connections: int, limits: EngineLimits, settings: Mapping[str, int | str] = {}
    ) -> None:
        self._address = address
        self._connections = connections
        self._limits = limits
        self._settings = settings
        """Settings of every statement, in addition to those of the limits."""
        self._clients = ExitStack()

    def __enter__(self) -> Self:
        self._pool = get_pool_manager(maxsize=self._connections, retries=0)
        self._clients.callback(self._pool.clear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clients.close()

    @property
    def address(self) -> ServerAddress:
        return self._address

    def database(self, name: str) -> "ClickHouseDatabase":
        """Connects to the server. Raises StoreFailed if it does not answer."""
        client = _call(lambda: self._open_client(name))
        self._clients.callback(client.close)
        return ClickHouseDatabase(client)

    def _open_client(self, database: str) -> Any:
        return clickhouse_connect.get_client(
            host=self._address.host,
            port=self._address.port,
            username=self._address.user,
            password=self._address.password,
            interface="https" if self._address.encrypted else "http",
            database=database,
            settings={**session_settings(self._limits), **self._settings},
            pool_mgr=self._pool,
            # A session would serialize the threads.
            autogenerate_session_id=False,
            compress=False,
            connect_timeout=CONNECT_SECONDS,
            # The server times out first, so that normally its answer arrives.
            send_receive_timeout=self._limits.statement_seconds + 2 * CONNECT_SECONDS,
        )


class ClickHouseDatabase:
    """A GuardedSqlClient for one database of the server."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def query_arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        body = _call(lambda: self._client.raw_query(sql, parameters=parameters, fmt="Arrow"))
        return pa.ipc.open_file(pa.py_buffer(body)).read_all()

    def query_rows(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        rows: Sequence[Row] = _call(lambda: self._client.query(sql, parameters=parameters).result_rows)
        return rows

    def insert_arrow(self, table: str, rows: pa.Table, token: str) -> None:
        self._insert(insert_into(table, rows), rows, {}, insert_settings(rows.num_rows, token))

    def insert_where(self, table: str, rows: pa.Table, guard: str, parameters: Parameters, token: str) -> None:
        columns = ", ".join(rows.column_names)
        source = f"SELECT {columns} FROM input('{structure_of(rows.schema)}')\nWHERE {guard}"
        statement = f"{insert_into(table, rows)}\n{source}"
        self._insert(statement, rows, parameters, guarded_insert_settings(rows.num_rows, token))

    def command(self, sql: str, parameters: Parameters | None = None) -> None:
        _call(lambda: self._client.command(sql, parameters=parameters))

    def _insert(self, statement: str, rows: pa.Table, parameters: Parameters, settings: EngineSettings) -> None:
        """Sends the statement in the URL and its rows in the body: once, without retries."""
        sql, bound = bind_query(f"{statement}\nFORMAT ArrowStream", dict(parameters))
        query = {"query": sql, "database": self._client.database, **settings, **bound}
        # Not the client's `command`: to decide whether it may retry a statement, it reads the rows as text, which takes
        # nearly as long as inserting them. It neither reads nor retries a body that is not text.
        _call(lambda: self._client._raw_request(memoryview(one_block(rows)), query, server_wait=False))  # noqa: SLF001


def _call(work: Callable[[], _Result]) -> _Result:
    try:
        return work()
    except (ClickHouseError, HTTPError, OSError) as error:
        # The message has the server's own code if it has answered; otherwise the outcome is unknown.
        raise store_failure(error) from error
