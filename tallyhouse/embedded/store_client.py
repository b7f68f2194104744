"""The usage store, as the gateway asks it: over ClickHouse's HTTP interface, in the worker.

Nothing here may load the engine: it is a fifth of a gigabyte that the gateway has no use for.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from stream_processors.backends.sql.clickhouse_http import HttpServer, ServerAddress
from stream_processors.backends.sql.client import SqlThreads
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.clickhouse_server.server import HOST

DATABASE = "tallyhouse"
ASKING = 4
"""How many questions are answered at a time; others wait."""

_LIMITS = EngineLimits()


@contextmanager
def reached_store(port: int, password: str) -> Iterator[SqlThreads]:
    """Raises StoreFailed where the worker does not answer."""
    with ExitStack() as opened:
        address = ServerAddress(host=HOST, port=port, password=password)
        server = opened.enter_context(HttpServer(address, ASKING, _LIMITS))
        threads = opened.enter_context(ThreadPoolExecutor(ASKING, thread_name_prefix="store"))
        yield SqlThreads(server.database(DATABASE), threads)
