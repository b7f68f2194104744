"""Opens everything the worker process runs: log reader, usage store, processors, and the servers at its sockets."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple

import msgspec

from rating.ledger.ledger import open_ledger, skip_migration
from schemas.hashing import HASH_NAME
from schemas.logger import Logger
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite.reader import SqliteLogReader
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.sql.engine import SqlEngine
from stream_processors.backends.sql.identity import StoreIdentity
from stream_processors.backends.sql.log_positions import SqlLogPositions
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.sql.verification import SqlVerification
from stream_processors.backends.sql.verified_positions import SqlVerifiedPositions
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.core.flush_plan import PieceBounds
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.embedded_worker import EmbeddedWorker, build_embedded_worker
from stream_processors.workers.policy import WorkerPolicy
from stream_processors.workers.verification_driver import VerificationDriver
from stream_processors.workers.wiring import WorkerDependencies, WorkerPolicies
from tallyhouse.embedded.log_positions import PositionRecorder, record_positions
from tallyhouse.embedded.priorities import lower_engine_priority
from tallyhouse.embedded.report import BufferedMetrics, Report
from tallyhouse.embedded.store import open_clickhouse_port, open_store, serve_gateway_queries
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.prometheus import resident_bytes
from tallyhouse.runtime.settings import EmbeddedSettings

_IDLE_SLICE = 10_000
"""Events and rows that are compared at a time in idle time: a flush that begins then waits for the rest of it."""


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's clock and logger, and the metrics that it reports to the gateway."""

    clock: Callable[[], int]
    logger: Logger
    metrics: BufferedMetrics


class Processors(NamedTuple):
    """The drivers of all partitions, of backfills and of expiry; idle if processing is disabled."""

    worker: EmbeddedWorker
    is_enabled: bool

    @property
    def is_healthy(self) -> bool:
        """False until every partition has booted, and while a partition or the backfill has stopped or is stuck.

        True if processing is disabled.
        """
        return not self.is_enabled or (self.worker.has_booted and self.worker.is_healthy)


@contextmanager
def open_processors(
    settings: EmbeddedSettings, dependencies: WorkerDependencies, verification: VerificationDriver
) -> Iterator[Processors]:
    """Runs the processors while it is open, unless they are disabled. On exit, the running flushes are finished."""
    worker = build_embedded_worker(dependencies, _policies(settings), verification)
    processors = Processors(worker, settings.process_events)
    if not settings.process_events:
        yield processors
        return
    worker.start()
    try:
        yield processors
    finally:
        worker.stop()


def _policies(settings: EmbeddedSettings) -> WorkerPolicies:
    return WorkerPolicies(
        partitions=settings.partitions,
        flush=FlushPolicy(max_bytes=settings.flush_bytes, piece=PieceBounds(rows=settings.flush_rows)),
        worker=WorkerPolicy(flush_frames=settings.flush_frames, flush_linger=settings.flush_linger),
    )


class ListenSockets(NamedTuple):
    """The sockets for the gateway's queries and, if the port is on, for ClickHouse clients."""

    gateway: socket.socket
    password: str
    clients: socket.socket | None


class WorkerRuntime(NamedTuple):
    """The open worker, as its process sees it."""

    recorder: PositionRecorder
    processors: Processors
    samples: BufferedMetrics

    async def report(self) -> Report:
        """Returns the worker's state now, with the metric samples since the last report."""
        status = self.processors.worker
        return Report(
            partitions=await status.partitions(),
            backfills=await status.backfills(),
            is_healthy=self.processors.is_healthy,
            counted=dict(self.recorder.counted),
            log_alarm=status.log_alarm,
            verification=status.verification,
            samples=self.samples.take(),
            memory=resident_bytes(),
        )


@asynccontextmanager
async def open_worker_runtime(
    settings: EmbeddedSettings, context: WorkerContext, sockets: ListenSockets
) -> AsyncIterator[WorkerRuntime]:
    """Counts events and answers queries while it is open. On exit, the running flushes are finished.

    Raises IdentityChanged if the usage store is of another log, and LogGap if the two do not belong together.
    """
    directory = DataDirectory(settings.data_dir)
    async with AsyncExitStack() as opened:
        policy = LogPolicy(held_bytes=settings.log_limit)
        log = await opened.enter_async_context(SqliteLogReader(directory.log, settings.partitions, policy))
        ledger = opened.enter_context(open_ledger(directory.ledger_url, context.clock, prepare=skip_migration))
        identity = StoreIdentity(partitions=settings.partitions, hash_name=HASH_NAME, log_id=log.identity.log_id)
        threads = opened.enter_context(open_store(directory, identity))
        store = EmbeddedStore(SqlEngine(threads))
        recorder = PositionRecorder(log, store, SqlLogPositions(threads), settings.partitions, context.logger)
        await opened.enter_async_context(record_positions(recorder, context.logger))
        await opened.enter_async_context(lower_engine_priority())
        await opened.enter_async_context(serve_gateway_queries(directory, sockets.gateway, sockets.password))
        await opened.enter_async_context(
            open_clickhouse_port(sockets.clients, directory, ledger.api_keys, context.clock)
        )
        dependencies = WorkerDependencies(
            log=log,
            store=store,
            months=SqlSeenMonths(threads),
            meters=ledger.meters,
            clock=context.clock,
            logger=context.logger,
            metrics=context.metrics,
        )
        verification = VerificationDriver(
            SqlVerification(threads, ReplayLookup(store, settings.partitions), ledger.meters, slice_size=_IDLE_SLICE),
            SqlVerifiedPositions(threads),
            settings.verify_rate,
            logger=context.logger,
            metrics=context.metrics,
        )
        processors = opened.enter_context(open_processors(settings, dependencies, verification))
        yield WorkerRuntime(recorder, processors, context.metrics)
