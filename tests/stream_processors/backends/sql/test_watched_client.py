"""Calls of the usage store are given up when it cannot answer, and only then."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from schemas.errors import StoreAbsent, StoreFailed
from stream_processors.backends.sql.clickhouse_http import ServerAddress
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.watched_client import ServerPing, WatchedSqlClient

pytestmark = pytest.mark.anyio


class SlowClient:
    """Answers once `may_answer` is set."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def query_rows(self, sql: str, parameters: Any = None) -> Sequence[Sequence[str]]:
        self.may_answer.wait()
        if sql == "fail":
            raise StoreFailed("no table")
        return [(sql,)]


@pytest.fixture
def slow() -> Iterator[SlowClient]:
    client = SlowClient()
    yield client
    client.may_answer.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def stopped() -> str:
    return "the worker is stopped"


async def test_a_call_is_given_up_with_the_reason(slow: SlowClient, threads: ThreadPoolExecutor) -> None:
    """The thread may wait longer: a query that was sent cannot be withdrawn."""
    store = WatchedSqlClient(cast("SqlClient", slow), threads, stopped)
    with pytest.raises(StoreAbsent, match="the worker is stopped"):
        await store.rows("SELECT 1")
    slow.may_answer.set()
    assert await store.rows("SELECT 1") == [("SELECT 1",)]


async def test_a_slow_answer_of_a_working_worker_is_awaited(slow: SlowClient, threads: ThreadPoolExecutor) -> None:
    asked = 0

    async def reason() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            slow.may_answer.set()

    store = WatchedSqlClient(cast("SqlClient", slow), threads, reason)
    assert await store.rows("SELECT 1") == [("SELECT 1",)]
    with pytest.raises(StoreFailed, match="no table"):
        await store.rows("fail")


@asynccontextmanager
async def server_with(answer: bytes | None) -> AsyncIterator[ServerAddress]:
    """A server that answers every request so, or never."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield ServerAddress(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        over.set()


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nOk.\n"


@pytest.mark.parametrize(
    "answer", [None, b"", b"HTTP/1.1 503 Service Unavailable\r\n\r\n"], ids=["silent", "closed", "unavailable"]
)
async def test_a_server_without_a_sign_of_life_is_named(answer: bytes | None) -> None:
    async with server_with(OK) as healthy, server_with(answer) as ill:
        assert await ServerPing([healthy]).absent_reason() is None
        reason = await ServerPing([healthy, ill]).absent_reason()
        assert reason is not None
        assert f"{ill.host}:{ill.port} does not answer" in reason


async def test_a_server_that_refuses_connections_is_named() -> None:
    async with server_with(OK) as gone:
        pass
    reason = await ServerPing([gone]).absent_reason()
    assert reason is not None
    assert str(gone.port) in reason
