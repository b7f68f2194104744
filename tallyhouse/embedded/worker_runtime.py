"""The processors of embedded mode, put together and started; or, where events are not to be counted, left out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from ingest_gateway.ports import Status
from schemas.logger import Logger
from schemas.metrics import Metrics
from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.flushing.expiry import Expiry, ExpiryPorts
from stream_processors.flushing.partition import Partition, Ports
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.ports import MeterSets, SeenMonths, TailedLog
from stream_processors.workers.backfill_driver import BackfillDriver
from stream_processors.workers.embedded_worker import EmbeddedWorker
from stream_processors.workers.expiry_driver import ExpiryDriver
from stream_processors.workers.partition_driver import PartitionDriver
from stream_processors.workers.policy import WorkerPolicy, growing_pause
from tallyhouse.runtime.settings import Settings


class Processors(NamedTuple):
    """What the rest of the process wants of them."""

    worker: EmbeddedWorker
    counting: bool

    @property
    def status(self) -> Status:
        return self.worker

    @property
    def is_well(self) -> bool:
        """No partition has stopped or is stuck. Who was told not to count is well."""
        return not self.counting or self.worker.is_well


class Surroundings(Protocol):
    """Time, words and numbers."""

    @property
    def clock(self) -> Callable[[], int]: ...
    @property
    def logger(self) -> Logger: ...
    @property
    def metrics(self) -> Metrics: ...


@contextmanager
def open_processors(
    settings: Settings,
    log: TailedLog,
    store: EmbeddedStore,
    seen: SeenMonths,
    meters: MeterSets,
    around: Surroundings,
) -> Iterator[Processors]:
    """Counting until the end; then the running flushes are finished."""
    ports = Ports(
        log=log, claims=store, tables=store, seen=store, meters=meters, pause=growing_pause, metrics=around.metrics
    )
    policy = WorkerPolicy(flush_frames=settings.flush_frames, flush_linger=settings.flush_linger)
    flush_policy = FlushPolicy(max_bytes=settings.flush_bytes)
    partitions = [Partition(number, ports, flush_policy) for number in range(settings.partitions)]
    drivers = [
        PartitionDriver(partition, log, policy, clock=around.clock, logger=around.logger, metrics=around.metrics)
        for partition in partitions
    ]
    backfill = Backfill(BackfillPorts(meters=meters, history=store, tables=store), settings.partitions)
    expiry = Expiry(
        ExpiryPorts(log=log, tail=log, claims=store, seen=seen, metrics=around.metrics), settings.partitions
    )
    worker = EmbeddedWorker(
        drivers,
        BackfillDriver(backfill, policy, logger=around.logger),
        ExpiryDriver(expiry, policy, logger=around.logger),
        policy,
        around.logger,
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
