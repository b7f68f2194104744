"""`tallyhouse serve`: listens, opens everything, says how to use it, and stops cleanly when asked to."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from ingest_gateway import memory
from ingest_gateway.data_directory import DataDirectory
from ingest_gateway.embedded import Embedded, Surroundings, open_embedded
from ingest_gateway.environment import read_settings
from ingest_gateway.logs import build_logger, forward_stdlib
from ingest_gateway.one_write import HttpConnection
from ingest_gateway.prometheus import PrometheusMetrics
from ingest_gateway.settings import Settings
from ingest_gateway.welcome import welcome
from schemas.errors import Misconfigured
from schemas.timestamps import SECOND

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
_SWITCH_SECONDS = 0.001
"""How long the processors' thread may hold the interpreter while a request waits: a fifth of the default."""


def serve() -> int:
    """The exit code, once stopped."""
    settings = read_settings(os.environ)
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=_now)
    forward_stdlib(logger)
    sys.setswitchinterval(_SWITCH_SECONDS)
    memory.keep_freed_memory()
    with _listening(settings) as listener:
        uvloop.run(_serve(settings, listener, Surroundings(clock=_now, logger=logger, metrics=PrometheusMetrics())))
    return 0


async def _serve(settings: Settings, listener: socket.socket, around: Surroundings) -> None:
    async with open_embedded(settings, around) as embedded:
        first_key = await _install_key(settings, embedded)
        server = Server(_config(settings, embedded))
        port = listener.getsockname()[1]
        print(welcome(settings, port, first_key, _now()), flush=True)  # noqa: T201 - this is for the person who started it
        memory.settle()
        await server.serve(sockets=[listener])
        around.logger.info("stopping: finishing what is in flight")
    around.logger.info("stopped")


def _config(settings: Settings, embedded: Embedded) -> uvicorn.Config:
    return uvicorn.Config(
        embedded.app,
        http=HttpConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_grace // SECOND,
    )


class Server(uvicorn.Server):
    """Stops at SIGINT and SIGTERM and then returns, so that what it served can be closed in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The loop's own handlers: the default would end the process by the same signal before anything is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Taken before anything is opened: a busy port is the commonest mistake, and told at once."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        what = f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}"
        how = "stop what uses it, or name another with TALLYHOUSE_HOST and TALLYHOUSE_PORT"
        raise Misconfigured([f"{what}; {how}"]) from error
    with listener:
        yield listener


async def _install_key(settings: Settings, embedded: Embedded) -> str | None:
    """At the first start, the admin key. One that we made is kept for the commands on this machine."""
    made = await embedded.ledger.accounts.bootstrap(settings.bootstrap_api_key)
    if made is None or settings.bootstrap_api_key is not None:
        return None
    _, token = made
    DataDirectory(settings.data_dir).keep_key(token)
    return token


def _now() -> int:
    return time.time_ns() // 1000
