"""Puts a cluster's worker together from a log, a store and meters."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

import msgspec

from schemas.logger import Logger, NoLogger
from schemas.metrics import Metrics, NoMetrics
from stream_processors.backends.log.buffered import ROOM, BufferedFrames
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.expiry import Expiry, ExpiryPorts
from stream_processors.flushing.partition import Partition, Ports
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
from stream_processors.workers.policy import WorkerPolicy, growing_pause


class EndsAskedLog(TailedLog, Protocol):
    """The log itself, whose ends are those last heard of."""

    async def ask_ends(self) -> None:
        """Hear anew where all partitions end."""
        ...


class SharedStore(Claims, Tables, SeenKeys, BackfillTables, EventHistory, Protocol):
    """A store that many workers write to."""


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker reaches of the outside, beside its group."""

    log: EndsAskedLog
    store: SharedStore
    months: SeenMonths
    meters: MeterSets
    clock: Callable[[], int]
    logger: Logger = NoLogger()
    metrics: Metrics = NoMetrics()
    pause: Pause = growing_pause


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """What may be tuned."""

    partitions: int
    room: int = ROOM
    """Payload bytes held of each partition."""
    flush: FlushPolicy = FlushPolicy()
    worker: WorkerPolicy = WorkerPolicy()


def build_worker(stream: StreamSettings, outside: Outside, policies: Policies) -> FaustWorker:
    """A worker that counts while its `run` runs."""
    frames = BufferedFrames(outside.log, policies.room)
    owned = OwnedPartitions(
        frames,
        lambda number: _driver(number, frames, outside, policies),
        lambda: _duties(outside, policies),
        give_up_seconds=stream.give_up_seconds,
        logger=outside.logger,
        metrics=outside.metrics,
    )
    return FaustWorker(
        stream,
        owned,
        policies.worker,
        ask_ends=outside.log.ask_ends,
        logger=outside.logger,
        pause=outside.pause,
    )


def _driver(number: int, frames: BufferedFrames, outside: Outside, policies: Policies) -> PartitionDriver:
    """With a partition that remembers nothing: whatever was known of it may be out of date."""
    store = outside.store
    ports = Ports(
        log=frames,
        claims=store,
        tables=store,
        seen=store,
        meters=outside.meters,
        pause=outside.pause,
        metrics=outside.metrics,
    )
    return PartitionDriver(
        Partition(number, ports, policies.flush),
        frames,
        policies.worker,
        clock=outside.clock,
        logger=outside.logger,
        metrics=outside.metrics,
        pause=outside.pause,
    )


def _duties(outside: Outside, policies: Policies) -> Iterable[Coroutine[Any, Any, None]]:
    """They concern all partitions, so they read the log itself, never what one worker holds of it."""
    log, store, worker, logger = outside.log, outside.store, policies.worker, outside.logger
    backfill = BackfillPorts(meters=outside.meters, history=store, tables=store)
    expiry = ExpiryPorts(log=log, tail=log, claims=store, seen=outside.months, metrics=outside.metrics)
    return (
        BackfillDriver(Backfill(backfill, policies.partitions), worker, logger=logger, pause=outside.pause).run(),
        ExpiryDriver(Expiry(expiry, policies.partitions), worker, logger=logger).run(),
    )
