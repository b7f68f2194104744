"""`tallyhouse gateway`: one process, or several that share a port; each serves until a signal, then stops cleanly.

`/metrics` covers one process. Several processes answer on the shared port in turn, so each of them also has a port of
its own for health and metrics, to be scraped there.
"""

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import uvloop

from schemas.timestamps import SECOND
from tallyhouse.cluster.gateway import open_gateway
from tallyhouse.cluster.startup import start_process
from tallyhouse.runtime import memory
from tallyhouse.runtime.child_process import ChildProcess, module_command, terminate_with_parent
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.exit_codes import run_with_exit_code
from tallyhouse.runtime.http_server import BackgroundServer, Server, limits_of, open_listener, open_shared_listeners
from tallyhouse.runtime.startup import Runtime
from tallyhouse.runtime.supervisor import Supervisor


def run_gateway() -> int:
    """Serves until a signal; returns the exit code."""
    settings, runtime = start_process()
    if settings.gateway_workers > 1:
        with open_shared_listeners(settings.host, settings.port, settings.gateway_workers) as listeners:
            return uvloop.run(_supervise_children(settings, runtime, listeners))
    with open_listener(settings.host, settings.port) as listener:
        uvloop.run(_serve(settings, runtime, listener, None))
    return 0


async def _supervise_children(settings: ClusterSettings, runtime: Runtime, listeners: Sequence[socket.socket]) -> int:
    def child(number: int, descriptor: int) -> ChildProcess:
        words = (descriptor, number, os.getpid())
        return ChildProcess(module_command("tallyhouse.cluster.gateway_process", *words), descriptor)

    children = [child(number, listener.fileno()) for number, listener in enumerate(listeners)]
    grace = settings.shutdown_grace / SECOND
    return await Supervisor(children, stop_seconds=grace, logger=runtime.logger).run()


def run_gateway_child(descriptor: int, number: int, parent: int) -> int:
    """Serves as a child of `run_gateway`, on the inherited listener; returns the exit code."""
    terminate_with_parent(parent)
    settings, runtime = start_process()
    own_port = settings.metrics_port and settings.metrics_port + number
    with (
        socket.socket(fileno=descriptor) as shared,
        open_listener(settings.host, own_port, "TALLYHOUSE_METRICS_PORT") as metrics_listener,
    ):
        uvloop.run(_serve(settings, runtime, shared, metrics_listener))
    return 0


async def _serve(
    settings: ClusterSettings, runtime: Runtime, listener: socket.socket, metrics_listener: socket.socket | None
) -> None:
    async with AsyncExitStack() as opened:
        gateway = await opened.enter_async_context(open_gateway(settings, runtime))
        limits = limits_of(settings)
        if metrics_listener is not None:
            health = BackgroundServer(gateway.health, limits)
            await opened.enter_async_context(health.serve_in_background(metrics_listener))
        memory.freeze_garbage_collector()
        runtime.logger.info(
            "ready", url=settings.url_at(listener.getsockname()[1]), health=_url_of(settings, metrics_listener)
        )
        await Server(gateway.app, limits, settings.shutdown_grace).serve(sockets=[listener])
        runtime.logger.info("stopping: finishing requests in flight")
    runtime.logger.info("stopped")


def _url_of(settings: ClusterSettings, metrics_listener: socket.socket | None) -> str | None:
    return None if metrics_listener is None else settings.url_at(metrics_listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(run_with_exit_code(lambda: run_gateway_child(*map(int, sys.argv[1:]))))
