"""`tallyhouse worker`: processes its share of the partitions until stopped, and serves health and metrics."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from starlette.types import ASGIApp

from ingest_gateway.api.health_app import create_health_app
from schemas.logger import Logger
from schemas.timestamps import SECOND
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.core.flush_plan import PieceBounds
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.faust_settings import StreamSettings
from stream_processors.workers.faust_worker import FaustDependencies, FaustWorker, build_faust_worker
from stream_processors.workers.policy import WorkerPolicy
from stream_processors.workers.wiring import WorkerPolicies
from tallyhouse.cluster.connections import Connections, brokers_of, open_connections
from tallyhouse.cluster.startup import retry_until_available, start_process
from tallyhouse.runtime import memory
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.http_server import Server, limits_of, open_listener
from tallyhouse.runtime.startup import Runtime
from tallyhouse.service import build_app_context


class ClusterWorker(NamedTuple):
    """The Faust worker, and the HTTP app that serves its health and metrics."""

    faust: FaustWorker
    health: ASGIApp


@asynccontextmanager
async def open_worker(settings: ClusterSettings, runtime: Runtime) -> AsyncIterator[ClusterWorker]:
    """Opens a worker; it counts once it is run."""
    async with AsyncExitStack() as opened:
        connections = await retry_until_available(
            settings.connect_timeout / SECOND,
            lambda: open_connections(opened, settings, runtime, KafkaPolicy()),
            runtime.logger,
        )
        faust = build_faust_worker(_stream(settings), _dependencies(connections, runtime), _policies(settings))

        async def check() -> None:
            if not faust.is_healthy:
                raise RuntimeError("a partition has stopped or is stuck: the log lines before this one say why")

        checks = {
            "log": lambda: _check_log(connections.log),
            "ledger": connections.ledger.meters.newest_version,
            "store": connections.store.ping,
            "processors": check,
        }
        yield ClusterWorker(faust, create_health_app(checks, build_app_context(runtime.clock, runtime)))


async def _check_log(log: KafkaFrameLog) -> None:
    """Fails also while the topic has more partitions than it had, although its frames are counted."""
    await log.verify_for_appends()
    await log.first_offset(0)


def _stream(settings: ClusterSettings) -> StreamSettings:
    return StreamSettings(cluster=brokers_of(settings), topic=settings.kafka_topic, group=settings.worker_group)


def _dependencies(connections: Connections, runtime: Runtime) -> FaustDependencies:
    return FaustDependencies(
        log=connections.log,
        store=connections.store.flushes,
        months=connections.store.months,
        meters=connections.ledger.meters,
        clock=runtime.clock,
        logger=runtime.logger,
        metrics=runtime.metrics,
    )


def _policies(settings: ClusterSettings) -> WorkerPolicies:
    return WorkerPolicies(
        partitions=settings.partitions,
        flush=FlushPolicy(max_bytes=settings.flush_bytes, piece=PieceBounds(rows=settings.flush_rows)),
        worker=WorkerPolicy(flush_frames=settings.flush_frames, flush_linger=settings.flush_linger),
    )


def run_worker() -> int:
    """Counts until a signal; returns the exit code."""
    settings, runtime = start_process()
    with open_listener(settings.host, settings.metrics_port, "TALLYHOUSE_METRICS_PORT") as listener:
        asyncio.run(_work(settings, runtime, listener))
    return 0


async def _work(settings: ClusterSettings, runtime: Runtime, listener: socket.socket) -> None:
    async with open_worker(settings, runtime) as worker:
        memory.freeze_garbage_collector()
        runtime.logger.info("ready", health=settings.url_at(listener.getsockname()[1]))
        server = Server(worker.health, limits_of(settings), grace=SECOND)
        await _count_until_stopped(worker, server, listener, runtime.logger)
    runtime.logger.info("stopped")


async def _count_until_stopped(worker: ClusterWorker, server: Server, listener: socket.socket, logger: Logger) -> None:
    """Runs worker and server. The server handles the signals; each of the two ends with the other."""
    counting = asyncio.create_task(worker.faust.run())
    counting.add_done_callback(lambda _: server.stop())
    try:
        await server.serve(sockets=[listener])
    finally:
        logger.info("stopping: finishing flushes in flight")
        worker.faust.stop()
        await counting
