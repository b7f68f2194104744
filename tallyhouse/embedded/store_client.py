"""Connects the gateway to the usage store in the worker, over ClickHouse's HTTP interface.

This module must not load the engine: the engine takes 200 MB that the gateway does not need.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.watched_client import AbsentReason, WatchedSqlClient
from stream_processors.clickhouse_server.server import HOST

DATABASE = "tallyhouse"
MAX_QUERIES = 4
"""Concurrent queries of the gateway; others wait."""

_LIMITS = EngineLimits()


@contextmanager
def connect_store(port: int, password: str, absent_reason: AbsentReason) -> Iterator[AsyncSqlClient]:
    """Calls raise StoreAbsent while the worker cannot answer. Raises StoreFailed if it does not answer at first."""
    with ExitStack() as opened:
        address = ServerAddress(host=HOST, port=port, password=password)
        server = opened.enter_context(ClickHousePool(address, MAX_QUERIES, _LIMITS))
        threads = opened.enter_context(ThreadPoolExecutor(MAX_QUERIES, thread_name_prefix="store"))
        yield WatchedSqlClient(server.database(DATABASE), threads, absent_reason)
