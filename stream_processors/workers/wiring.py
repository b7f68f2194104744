"""Puts a cluster's worker together from a log, a store and meters."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

import msgspec

from schemas.logger import Logger, NullLogger
from schemas.metrics import Metrics, NullMetrics
from stream_processors.backends.log.buffered import BUFFER_BYTES, BufferedLog
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.expiry import Expiry, ExpiryPorts
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy, Pause
from stream_processors.ports import (
    BackfillTables,
    Claims,
    EventHistory,
    MeterSets,
    SeenKeys,
    SeenMonths,
    Tables,
    TailedLog,
)
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.faust_partitions import OwnedPartitions
from stream_processors.workers.faust_settings import StreamSettings
from stream_processors.workers.faust_worker import FaustWorker
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff


class EndOffsetLog(TailedLog, Protocol):
    """The log itself, whose ends are those last heard of."""

    async def refresh_ends(self) -> None:
        """Hear anew where all partitions end."""
        ...


class SharedStore(Claims, Tables, SeenKeys, BackfillTables, EventHistory, Protocol):
    """A store that many workers write to."""


class WorkerDependencies(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker reaches of the outside, beside its group."""

    log: EndOffsetLog
    store: SharedStore
    months: SeenMonths
    meters: MeterSets
    clock: Callable[[], int]
    logger: Logger = NullLogger()
    metrics: Metrics = NullMetrics()
    pause: Pause = exponential_backoff


class WorkerPolicies(msgspec.Struct, frozen=True, kw_only=True):
    """What may be tuned."""

    partitions: int
    room: int = BUFFER_BYTES
    """Payload bytes held of each partition."""
    flush: FlushPolicy = FlushPolicy()
    worker: WorkerPolicy = WorkerPolicy()


def build_faust_worker(
    stream: StreamSettings, dependencies: WorkerDependencies, policies: WorkerPolicies
) -> FaustWorker:
    """A worker that counts while its `run` runs."""
    frames = BufferedLog(dependencies.log, policies.room)
    owned = OwnedPartitions(
        frames,
        lambda number: _driver(number, frames, dependencies, policies),
        lambda: _background_tasks(dependencies, policies),
        revoke_seconds=stream.revoke_seconds,
        logger=dependencies.logger,
        metrics=dependencies.metrics,
    )
    return FaustWorker(
        stream,
        owned,
        policies.worker,
        refresh_ends=dependencies.log.refresh_ends,
        logger=dependencies.logger,
        pause=dependencies.pause,
    )


def _driver(
    number: int, frames: BufferedLog, dependencies: WorkerDependencies, policies: WorkerPolicies
) -> PartitionDriver:
    """With a partition that remembers nothing: whatever was known of it may be out of date."""
    store = dependencies.store
    ports = FlushPorts(
        log=frames,
        claims=store,
        tables=store,
        seen=store,
        meters=dependencies.meters,
        pause=dependencies.pause,
        metrics=dependencies.metrics,
    )
    return PartitionDriver(
        Partition(number, ports, policies.flush),
        frames,
        policies.worker,
        clock=dependencies.clock,
        logger=dependencies.logger,
        metrics=dependencies.metrics,
        pause=dependencies.pause,
    )


def _background_tasks(
    dependencies: WorkerDependencies, policies: WorkerPolicies
) -> Iterable[Coroutine[Any, Any, None]]:
    """They concern all partitions, so they read the log itself, never what one worker holds of it."""
    log, store, worker, logger = dependencies.log, dependencies.store, policies.worker, dependencies.logger
    backfill = BackfillPorts(meters=dependencies.meters, history=store, tables=store)
    expiry = ExpiryPorts(log=log, tail=log, claims=store, seen=dependencies.months, metrics=dependencies.metrics)
    return (
        BackfillDriver(Backfill(backfill, policies.partitions), worker, logger=logger, pause=dependencies.pause).run(),
        ExpiryDriver(Expiry(expiry, policies.partitions), worker, logger=logger).run(),
    )
