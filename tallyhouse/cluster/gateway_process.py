"""`tallyhouse gateway`: one process, or several that share a port; each serves until told to stop, then stops cleanly.

The numbers of `/metrics` are one process's own. Several processes answer on the shared port by turns, so each has a
port for its health and numbers besides: whoever collects them asks there.
"""

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import uvloop

from schemas.timestamps import SECOND
from tallyhouse.cli.exit_code import exit_code_of
from tallyhouse.cluster.gateway import open_gateway
from tallyhouse.cluster.startup import begin
from tallyhouse.runtime import memory
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.context import Surroundings
from tallyhouse.runtime.http_server import Server, SideServer, listening, listening_often
from tallyhouse.runtime.supervisor import Child, Processes, end_with_parent, python_module


def run_gateway() -> int:
    """The exit code, once stopped."""
    settings, around = begin()
    if settings.gateway_workers > 1:
        with listening_often(settings.host, settings.port, settings.gateway_workers) as listeners:
            return uvloop.run(_keep_running(settings, around, listeners))
    with listening(settings.host, settings.port) as listener:
        uvloop.run(_serve(settings, around, listener, None))
    return 0


async def _keep_running(settings: ClusterSettings, around: Surroundings, listeners: Sequence[socket.socket]) -> int:
    def child(number: int, descriptor: int) -> Child:
        words = (descriptor, number, os.getpid())
        return Child(python_module("tallyhouse.cluster.gateway_process", *words), descriptor)

    children = [child(number, listener.fileno()) for number, listener in enumerate(listeners)]
    grace = settings.shutdown_grace / SECOND
    return await Processes(children, stop_seconds=grace, logger=around.logger).run()


def run_one_of_several(descriptor: int, number: int, parent: int) -> int:
    """As a child of the above: the port is open already."""
    end_with_parent(parent)
    settings, around = begin()
    own_port = settings.metrics_port and settings.metrics_port + number
    with (
        socket.socket(fileno=descriptor) as shared,
        listening(settings.host, own_port, "TALLYHOUSE_METRICS_PORT") as own,
    ):
        uvloop.run(_serve(settings, around, shared, own))
    return 0


async def _serve(
    settings: ClusterSettings, around: Surroundings, listener: socket.socket, own: socket.socket | None
) -> None:
    async with AsyncExitStack() as opened:
        gateway = await opened.enter_async_context(open_gateway(settings, around))
        if own is not None:
            await opened.enter_async_context(SideServer(gateway.health).serving(own))
        memory.settle()
        around.logger.info("ready", url=settings.url_at(listener.getsockname()[1]), health=_url_of(settings, own))
        await Server(gateway.app, settings.shutdown_grace).serve(sockets=[listener])
        around.logger.info("stopping: finishing what is in flight")
    around.logger.info("stopped")


def _url_of(settings: ClusterSettings, own: socket.socket | None) -> str | None:
    return None if own is None else settings.url_at(own.getsockname()[1])


if __name__ == "__main__":
    sys.exit(exit_code_of(lambda: run_one_of_several(*map(int, sys.argv[1:]))))
