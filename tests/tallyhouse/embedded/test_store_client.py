"""Calls to the usage store in the worker are given up when the worker cannot answer, and only then."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from schemas.errors import StoreAbsent, StoreFailed
from stream_processors.backends.sql.client import SqlClient
from tallyhouse.embedded.store_client import WatchedSqlClient

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


async def test_a_call_is_given_up_with_the_reason(slow: SlowClient, threads: ThreadPoolExecutor) -> None:
    """The thread may wait longer: a query that was sent cannot be withdrawn."""
    store = WatchedSqlClient(cast("SqlClient", slow), threads, lambda: "the worker is stopped")
    with pytest.raises(StoreAbsent, match="the worker is stopped"):
        await store.rows("SELECT 1")
    slow.may_answer.set()
    assert await store.rows("SELECT 1") == [("SELECT 1",)]


async def test_a_slow_answer_of_a_working_worker_is_awaited(slow: SlowClient, threads: ThreadPoolExecutor) -> None:
    asked = 0

    def reason() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            slow.may_answer.set()

    store = WatchedSqlClient(cast("SqlClient", slow), threads, reason)
    assert await store.rows("SELECT 1") == [("SELECT 1",)]
    with pytest.raises(StoreFailed, match="no table"):
        await store.rows("fail")
