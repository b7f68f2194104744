"""A worker's parts, opened in the order in which one needs the other, closed in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from starlette.types import ASGIApp

from ingest_gateway.api import app
from schemas.timestamps import SECOND
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.faust_settings import StreamSettings
from stream_processors.workers.faust_worker import FaustWorker
from stream_processors.workers.policy import WorkerPolicy
from stream_processors.workers.wiring import Outside, Policies, build_worker
from tallyhouse.cluster.addresses import brokers_of
from tallyhouse.cluster.parts import Parts, open_parts
from tallyhouse.cluster.patience import patiently
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.context import Surroundings
from tallyhouse.service import app_surroundings


class Worker(NamedTuple):
    """What counts, and what tells how it does."""

    faust: FaustWorker
    health: ASGIApp


@asynccontextmanager
async def open_worker(settings: ClusterSettings, around: Surroundings) -> AsyncIterator[Worker]:
    """Everything open; counting begins when the worker is run."""
    async with AsyncExitStack() as opened:
        parts = await patiently(
            settings.connect_timeout / SECOND,
            lambda: open_parts(opened, settings, around, KafkaPolicy()),
            around.logger,
        )
        faust = build_worker(_stream(settings), _outside(parts, around), _policies(settings))

        async def check() -> None:
            if not faust.is_well:
                raise RuntimeError("a partition has stopped or is stuck: the log lines before this one tell why")

        checks = {
            "log": lambda: parts.log.first_offset(0),
            "ledger": parts.ledger.meters.newest_version,
            "store": parts.store.answer,
            "processors": check,
        }
        yield Worker(faust, app.create_health_app(checks, app_surroundings(around.clock, around)))


def _stream(settings: ClusterSettings) -> StreamSettings:
    return StreamSettings(cluster=brokers_of(settings), topic=settings.kafka_topic, group=settings.worker_group)


def _outside(parts: Parts, around: Surroundings) -> Outside:
    return Outside(
        log=parts.log,
        store=parts.store.flushes,
        months=parts.store.months,
        meters=parts.ledger.meters,
        clock=around.clock,
        logger=around.logger,
        metrics=around.metrics,
    )


def _policies(settings: ClusterSettings) -> Policies:
    return Policies(
        partitions=settings.partitions,
        flush=FlushPolicy(max_bytes=settings.flush_bytes),
        worker=WorkerPolicy(flush_frames=settings.flush_frames, flush_linger=settings.flush_linger),
    )
