"""Builds the drivers of both kinds of worker from their dependencies and policies."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from schemas.logger import Logger, NullLogger
from schemas.metrics import Metrics, NullMetrics
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
    StoreCheck,
    Tables,
    TailedLog,
)
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff


class WorkerStore(Claims, Tables, SeenKeys, BackfillTables, EventHistory, StoreCheck, Protocol):
    """The usage store as a worker uses it, except the months of its seen keys."""


class WorkerDependencies(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside this process that a worker calls, except its consumer group."""

    log: TailedLog
    store: WorkerStore
    months: SeenMonths
    meters: MeterSets
    clock: Callable[[], int]
    logger: Logger = NullLogger()
    metrics: Metrics = NullMetrics()
    pause: Pause = exponential_backoff


class WorkerPolicies(msgspec.Struct, frozen=True, kw_only=True):
    """The number of partitions, and the policies of flushes and of the worker."""

    partitions: int
    flush: FlushPolicy = FlushPolicy()
    worker: WorkerPolicy = WorkerPolicy()


def partition_driver(
    number: int, log: TailedLog, dependencies: WorkerDependencies, policies: WorkerPolicies
) -> PartitionDriver:
    """A driver of one partition, which boots at its first step. `log` may be a buffer in front of the log itself."""
    store = dependencies.store
    ports = FlushPorts(
        log=log,
        claims=store,
        tables=store,
        seen=store,
        meters=dependencies.meters,
        pause=dependencies.pause,
        check=store,
        metrics=dependencies.metrics,
    )
    return PartitionDriver(
        Partition(number, ports, policies.flush),
        log,
        policies.worker,
        clock=dependencies.clock,
        logger=dependencies.logger,
        metrics=dependencies.metrics,
        pause=dependencies.pause,
    )


def backfill_driver(dependencies: WorkerDependencies, policies: WorkerPolicies) -> BackfillDriver:
    """A driver of the backfills of all partitions."""
    store = dependencies.store
    ports = BackfillPorts(meters=dependencies.meters, history=store, tables=store)
    return BackfillDriver(
        Backfill(ports, policies.partitions, policies.flush.piece),
        policies.worker,
        logger=dependencies.logger,
        metrics=dependencies.metrics,
        pause=dependencies.pause,
    )


def expiry_driver(dependencies: WorkerDependencies, policies: WorkerPolicies) -> ExpiryDriver:
    """A driver of the expiry of all partitions. It reads the log itself, never one worker's buffer of it."""
    log = dependencies.log
    ports = ExpiryPorts(
        log=log,
        tail=log,
        claims=dependencies.store,
        seen=dependencies.months,
        clock=dependencies.clock,
        metrics=dependencies.metrics,
    )
    return ExpiryDriver(Expiry(ports, policies.partitions), policies.worker, logger=dependencies.logger)
