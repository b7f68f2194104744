"""Every store fulfils the contract of the months of seen keys."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from stream_processors.backends.sql.client import AsyncSqlClient, GuardedAsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.memory import MemoryEngine, MemorySeenMonths
from stream_processors.backends.store.sharded import ShardedSeenMonths, ShardedStore
from tests.conftest import Databases, HttpDatabases
from tests.contracts.seen_months import MonthsSubject, SeenMonthsContract


class TestInMemory(SeenMonthsContract):
    """The store in memory."""

    @pytest.fixture
    def subject(self) -> MonthsSubject:
        engine = MemoryEngine()
        return MonthsSubject(MemorySeenMonths(engine), EmbeddedStore(engine))


class TestInChdb(SeenMonthsContract):
    """The real engine."""

    @pytest.fixture
    def subject(self, databases: Databases, threads: ThreadPoolExecutor) -> MonthsSubject:
        sql = AsyncSqlClient(databases(), threads)
        return MonthsSubject(SqlSeenMonths(sql), EmbeddedStore(SqlEngine(sql)))


class TestOverHttp(SeenMonthsContract):
    """The engine in another process, written to with guards."""

    @pytest.fixture
    def subject(self, http_databases: HttpDatabases, threads: ThreadPoolExecutor) -> MonthsSubject:
        sql = GuardedAsyncSqlClient(http_databases(), threads)
        return MonthsSubject(SqlSeenMonths(sql), GuardedStore(SqlGuardedEngine(sql)))


class TestSharded(SeenMonthsContract):
    """Two stores as one."""

    @pytest.fixture
    def subject(self) -> MonthsSubject:
        engines = [MemoryEngine() for _ in range(2)]
        store = ShardedStore([GuardedStore(engine) for engine in engines])
        return MonthsSubject(ShardedSeenMonths([MemorySeenMonths(engine) for engine in engines]), store)
