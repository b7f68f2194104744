"""Connects the gateway to the usage store in the worker, over ClickHouse's HTTP interface.

This module must not load the engine: the engine takes 200 MB that the gateway does not need.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from schemas.errors import StoreAbsent
from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.client import AsyncSqlClient, SqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.clickhouse_server.server import HOST

DATABASE = "tallyhouse"
MAX_QUERIES = 4
"""Concurrent queries of the gateway; others wait."""

PATIENCE_SECONDS = 1.5
"""How long a call waits for the worker before it asks whether the worker can answer at all."""
_POLL_SECONDS = 0.1

_Result = TypeVar("_Result")

_LIMITS = EngineLimits()


class WatchedSqlClient(AsyncSqlClient):
    """Gives up a call when the worker cannot answer it: the server's own timeouts are minutes."""

    def __init__(self, client: SqlClient, executor: Executor, absent_reason: Callable[[], str | None]) -> None:
        super().__init__(client, executor)
        self._absent_reason = absent_reason

    async def _run(self, call: Callable[[], _Result]) -> _Result:
        """Raises StoreAbsent, after `PATIENCE_SECONDS` at the earliest, while there is a reason for it."""
        answer = asyncio.ensure_future(super()._run(call))
        try:
            await self._wait(answer)
        except BaseException:
            answer.cancel()
            answer.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise
        return answer.result()

    async def _wait(self, answer: "asyncio.Future[_Result]") -> None:
        done, _ = await asyncio.wait((answer,), timeout=PATIENCE_SECONDS)
        while not done:
            if reason := self._absent_reason():
                raise StoreAbsent(reason)
            done, _ = await asyncio.wait((answer,), timeout=_POLL_SECONDS)


@contextmanager
def connect_store(port: int, password: str, absent_reason: Callable[[], str | None]) -> Iterator[AsyncSqlClient]:
    """Calls raise StoreAbsent while the worker cannot answer. Raises StoreFailed if it does not answer at first."""
    with ExitStack() as opened:
        address = ServerAddress(host=HOST, port=port, password=password)
        server = opened.enter_context(ClickHousePool(address, MAX_QUERIES, _LIMITS))
        threads = opened.enter_context(ThreadPoolExecutor(MAX_QUERIES, thread_name_prefix="store"))
        yield WatchedSqlClient(server.database(DATABASE), threads, absent_reason)
