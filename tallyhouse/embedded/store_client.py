"""The usage store, as the gateway asks it: over ClickHouse's HTTP interface, in the worker.

Nothing here may load the engine: it is a fifth of a gigabyte that the gateway has no use for.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.clickhouse_server.server import HOST

DATABASE = "tallyhouse"
MAX_QUERIES = 4
"""How many questions are answered at a time; others wait."""

_LIMITS = EngineLimits()


@contextmanager
def connect_store(port: int, password: str) -> Iterator[AsyncSqlClient]:
    """Raises StoreFailed where the worker does not answer."""
    with ExitStack() as opened:
        address = ServerAddress(host=HOST, port=port, password=password)
        server = opened.enter_context(ClickHousePool(address, MAX_QUERIES, _LIMITS))
        threads = opened.enter_context(ThreadPoolExecutor(MAX_QUERIES, thread_name_prefix="store"))
        yield AsyncSqlClient(server.database(DATABASE), threads)
