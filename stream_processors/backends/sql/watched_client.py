"""Gives up calls of the usage store that it cannot answer: its own timeouts are minutes."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

from schemas.errors import StoreAbsent
from stream_processors.backends.sql.clickhouse_http import ServerAddress
from stream_processors.backends.sql.client import AsyncSqlClient, SqlClient

_POLL_SECONDS = 0.1

_PING_SECONDS = 0.9
"""How long a server may take for a health check. Together with `PATIENCE_SECONDS` it is less than two seconds."""

PATIENCE_SECONDS = 0.7
"""How long a call waits before it asks whether the store can answer at all."""

AbsentReason = Callable[[], Awaitable[str | None]]
"""Why the store cannot answer now; None if it can, as far as known."""

_Result = TypeVar("_Result")


class WatchedSqlClient(AsyncSqlClient):
    """Runs calls that end when the store cannot answer them. A slow answer is awaited."""

    def __init__(self, client: SqlClient, executor: Executor, absent_reason: AbsentReason) -> None:
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
            reason = await self._absent_reason()
            if reason and not answer.done():
                raise StoreAbsent(reason)
            done, _ = await asyncio.wait((answer,), timeout=_POLL_SECONDS)


class ServerPing:
    """Asks the store's servers for a sign of life, over connections of their own."""

    def __init__(self, servers: Sequence[ServerAddress]) -> None:
        self._servers = servers

    async def absent_reason(self) -> str | None:
        """Which server gives no sign of life in time; None if all do."""
        for server, answers in zip(self._servers, await asyncio.gather(*map(_answers, self._servers)), strict=True):
            if not answers:
                return (
                    f"the usage store at {server.host}:{server.port} does not answer: is it stopped, overloaded or "
                    "cut off? Events are accepted meanwhile"
                )
        return None


async def _answers(server: ServerAddress) -> bool:
    try:
        async with asyncio.timeout(_PING_SECONDS):
            return await _ping(server)
    except (OSError, TimeoutError, ssl.SSLError, asyncio.IncompleteReadError):
        return False


async def _ping(server: ServerAddress) -> bool:
    encryption = ssl.create_default_context() if server.encrypted else None
    reader, writer = await asyncio.open_connection(server.host, server.port, ssl=encryption)
    try:
        writer.write(f"GET /ping HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n\r\n".encode())
        return (await reader.readexactly(len(b"HTTP/1.1 200"))).endswith(b" 200")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
