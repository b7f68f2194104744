"""`tallyhouse worker`: counts its share of the partitions until told to stop, and tells how it does meanwhile."""

import asyncio
import socket

from schemas.logger import Logger
from schemas.timestamps import SECOND
from tallyhouse.cluster.startup import start_process
from tallyhouse.cluster.worker import ClusterWorker, open_worker
from tallyhouse.runtime import memory
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.context import Runtime
from tallyhouse.runtime.http_server import Server, open_listener


def run_worker() -> int:
    """The exit code, once stopped."""
    settings, runtime = start_process()
    with open_listener(settings.host, settings.metrics_port, "TALLYHOUSE_METRICS_PORT") as listener:
        asyncio.run(_work(settings, runtime, listener))
    return 0


async def _work(settings: ClusterSettings, runtime: Runtime, listener: socket.socket) -> None:
    async with open_worker(settings, runtime) as worker:
        memory.freeze_garbage_collector()
        runtime.logger.info("ready", health=settings.url_at(listener.getsockname()[1]))
        await _count_until_stopped(worker, listener, runtime.logger)
    runtime.logger.info("stopped")


async def _count_until_stopped(worker: ClusterWorker, listener: socket.socket, logger: Logger) -> None:
    """The server hears the signals, and ends too when the counting does."""
    server = Server(worker.health, grace=SECOND)
    counting = asyncio.create_task(worker.faust.run())
    counting.add_done_callback(lambda _: server.stop())
    try:
        await server.serve(sockets=[listener])
    finally:
        logger.info("stopping: finishing what is being counted")
        worker.faust.stop()
        await counting
