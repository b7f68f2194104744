"""What the worker is made of: the log as the gateway writes it, the usage store, the processors, and who may ask."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import msgspec

from rating.ledger.ledger import open_ledger, skip_migration
from schemas.hashing import HASH_NAME
from schemas.logger import Logger
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite.reader import SqliteLogReader
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.identity import StoreIdentity
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.embedded import EmbeddedStore
from tallyhouse.embedded.clickhouse_port import open_clickhouse_port
from tallyhouse.embedded.priorities import lower_engine_priority
from tallyhouse.embedded.report import BufferedMetrics, Report
from tallyhouse.embedded.store import open_store, serve_gateway_queries
from tallyhouse.embedded.worker_runtime import Processors, open_processors
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.prometheus import resident_bytes
from tallyhouse.runtime.settings import EmbeddedSettings


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True):
    """Time and words are the worker's own; numbers are told to the gateway."""

    clock: Callable[[], int]
    logger: Logger
    metrics: BufferedMetrics


class ListenSockets(NamedTuple):
    """Where the worker is asked: by the gateway, and, if the port is on, by people's ClickHouse clients."""

    gateway: socket.socket
    password: str
    clients: socket.socket | None


class WorkerRuntime(NamedTuple):
    """What is counted in this process."""

    log: SqliteLogReader
    processors: Processors
    samples: BufferedMetrics

    async def report(self) -> Report:
        """How it stands now."""
        status = self.processors.status
        return Report(
            partitions=await status.partitions(),
            backfills=await status.backfills(),
            is_healthy=self.processors.is_healthy,
            counted=dict(self.log.counted),
            samples=self.samples.take(),
            memory=resident_bytes(),
        )


@asynccontextmanager
async def open_worker_runtime(
    settings: EmbeddedSettings, context: WorkerContext, sockets: ListenSockets
) -> AsyncIterator[WorkerRuntime]:
    """Counting and answering until the end; then the running flushes are finished."""
    directory = DataDirectory(settings.data_dir)
    async with AsyncExitStack() as opened:
        policy = LogPolicy(held_bytes=settings.log_limit)
        log = await opened.enter_async_context(SqliteLogReader(directory.log, settings.partitions, policy))
        ledger = opened.enter_context(open_ledger(directory.ledger_url, context.clock, prepare=skip_migration))
        identity = StoreIdentity(partitions=settings.partitions, hash_name=HASH_NAME, log_id=log.identity.log_id)
        threads = opened.enter_context(open_store(directory, identity))
        await opened.enter_async_context(lower_engine_priority())
        await opened.enter_async_context(serve_gateway_queries(directory, sockets.gateway, sockets.password))
        await opened.enter_async_context(
            open_clickhouse_port(sockets.clients, directory, ledger.api_keys, context.clock)
        )
        processors = opened.enter_context(
            open_processors(
                settings, log, EmbeddedStore(SqlEngine(threads)), SqlSeenMonths(threads), ledger.meters, context
            )
        )
        yield WorkerRuntime(log, processors, context.metrics)
