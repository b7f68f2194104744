"""The processors of embedded mode, put together and started; or, where events are not to be counted, left out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from ingest_gateway.ports import ProcessingStatus
from schemas.logger import Logger
from schemas.metrics import Metrics
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.expiry import Expiry, ExpiryPorts
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.ports import MeterSets, SeenMonths, TailedLog
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.embedded_worker import EmbeddedWorker
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy, exponential_backoff
from tallyhouse.runtime.settings import EmbeddedSettings


class Processors(NamedTuple):
    """What the rest of the process wants of them."""

    worker: EmbeddedWorker
    is_enabled: bool

    @property
    def status(self) -> ProcessingStatus:
        return self.worker

    @property
    def is_healthy(self) -> bool:
        """No partition has stopped or is stuck. Who was told not to count is well."""
        return not self.is_enabled or self.worker.is_healthy


class ProcessorContext(Protocol):
    """Time, words and numbers."""

    @property
    def clock(self) -> Callable[[], int]: ...
    @property
    def logger(self) -> Logger: ...
    @property
    def metrics(self) -> Metrics: ...


@contextmanager
def open_processors(
    settings: EmbeddedSettings,
    log: TailedLog,
    store: EmbeddedStore,
    seen: SeenMonths,
    meters: MeterSets,
    context: ProcessorContext,
) -> Iterator[Processors]:
    """Counting until the end; then the running flushes are finished."""
    ports = FlushPorts(
        log=log,
        claims=store,
        tables=store,
        seen=store,
        meters=meters,
        pause=exponential_backoff,
        metrics=context.metrics,
    )
    policy = WorkerPolicy(flush_frames=settings.flush_frames, flush_linger=settings.flush_linger)
    flush_policy = FlushPolicy(max_bytes=settings.flush_bytes)
    partitions = [Partition(number, ports, flush_policy) for number in range(settings.partitions)]
    drivers = [
        PartitionDriver(partition, log, policy, clock=context.clock, logger=context.logger, metrics=context.metrics)
        for partition in partitions
    ]
    backfill = Backfill(BackfillPorts(meters=meters, history=store, tables=store), settings.partitions)
    expiry = Expiry(
        ExpiryPorts(log=log, tail=log, claims=store, seen=seen, metrics=context.metrics), settings.partitions
    )
    worker = EmbeddedWorker(
        drivers,
        BackfillDriver(backfill, policy, logger=context.logger),
        ExpiryDriver(expiry, policy, logger=context.logger),
        policy,
        context.logger,
    )
    processors = Processors(worker, settings.process_events)
    if not settings.process_events:
        yield processors
        return
    worker.start()
    try:
        yield processors
    finally:
        worker.stop()
