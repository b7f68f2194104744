"""`tallyhouse worker`: counts its share of the partitions until told to stop, and tells how it does meanwhile."""

import asyncio
import socket

from schemas.logger import Logger
from schemas.timestamps import SECOND
from tallyhouse.cluster.startup import begin
from tallyhouse.cluster.worker import Worker, open_worker
from tallyhouse.runtime import memory
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.context import Surroundings
from tallyhouse.runtime.http_server import Server, listening


def run_worker() -> int:
    """The exit code, once stopped."""
    settings, around = begin()
    with listening(settings.host, settings.metrics_port, "TALLYHOUSE_METRICS_PORT") as listener:
        asyncio.run(_work(settings, around, listener))
    return 0


async def _work(settings: ClusterSettings, around: Surroundings, listener: socket.socket) -> None:
    async with open_worker(settings, around) as worker:
        memory.settle()
        around.logger.info("ready", health=settings.url_at(listener.getsockname()[1]))
        await _count_until_stopped(worker, listener, around.logger)
    around.logger.info("stopped")


async def _count_until_stopped(worker: Worker, listener: socket.socket, logger: Logger) -> None:
    """The server hears the signals, and ends too when the counting does."""
    server = Server(worker.health, grace=SECOND)
    counting = asyncio.create_task(worker.faust.run())
    counting.add_done_callback(lambda _: server.end())
    try:
        await server.serve(sockets=[listener])
    finally:
        logger.info("stopping: finishing what is being counted")
        worker.faust.stop()
        await counting
