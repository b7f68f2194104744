"""The environments of an interleaving: all in memory, or on the real log and store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from schemas.flush import Claim, Table
from schemas.meter import Meter
from schemas.tables import LAYOUTS
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.backends.sql.chdb import ChdbDatabase
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.store.embedded import EmbeddedStore
from tests.interleavings.interleaving import Interleaving, Operation, Posts
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline

Environment = Callable[[], AbstractAsyncContextManager[InMemoryPipeline]]


@asynccontextmanager
async def in_memory() -> AsyncIterator[InMemoryPipeline]:
    yield InMemoryPipeline()


class DurablePipeline(InMemoryPipeline):
    """A pipeline on SQLite and chDB."""

    def __init__(self, log: SqliteFrameLog, database: ChdbDatabase, threads: ThreadPoolExecutor) -> None:
        super().__init__()
        self.log = log  # type: ignore[assignment] # the same port
        self.store = EmbeddedStore(SqlEngine(AsyncSqlClient(database, threads)))
        self.engine = StoredRows(database)  # type: ignore[assignment] # the part of it that an interleaving reads


class StoredRows:
    """The stored rows, in the layouts in which they were written."""

    def __init__(self, database: ChdbDatabase) -> None:
        self._database = database

    def rows(self, table: Table) -> pa.Table:
        layout = LAYOUTS[table]
        columns = ", ".join("toUnixTimestamp(minute) AS minute" if name == "minute" else name for name in layout.names)
        return self._database.query_arrow(f"SELECT {columns} FROM {table.value}").cast(layout)

    @property
    def flushes(self) -> Sequence[Claim]:
        rows = self._database.query_rows("SELECT p, n, a, b, ver FROM flushes WHERE kind = 'claim'")
        return [Claim(partition=p, number=n, first=a, last=b, version=version) for p, n, a, b, version in rows]


def durable(folder: Path, databases: Callable[[], ChdbDatabase], threads: ThreadPoolExecutor) -> Environment:
    @asynccontextmanager
    async def environment() -> AsyncIterator[InMemoryPipeline]:
        with TemporaryDirectory(dir=folder) as own:
            async with SqliteFrameLog(Path(own, "log.db"), PARTITIONS) as log:
                yield DurablePipeline(log, databases(), threads)

    return environment


def run_interleaving(
    environment: Environment, posts: Posts, meters: Sequence[Meter], operations_drawn: Sequence[Operation]
) -> InMemoryPipeline:
    """Runs the operations, and then checks that everything is exact."""

    async def run() -> InMemoryPipeline:
        async with environment() as pipeline:
            interleaving = Interleaving(pipeline, posts, meters)
            for operation in operations_drawn:
                await operation(interleaving)
            await interleaving.end()
            return pipeline

    return asyncio.run(run())
