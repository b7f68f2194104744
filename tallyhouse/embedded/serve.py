"""`tallyhouse serve`: binds the ports, opens the embedded gateway and its worker, and stops them cleanly."""

import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager

import uvloop

from ingest_gateway.ports import Accounts
from schemas.errors import Misconfigured
from stream_processors.clickhouse_server.server import HOST, open_loopback_listener
from tallyhouse.embedded.worker_supervisor import Inherited, supervise_worker
from tallyhouse.runtime import memory
from tallyhouse.runtime.context import Runtime
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.http_server import Server, open_listener
from tallyhouse.runtime.logs import build_logger, forward_stdlib
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.settings import EmbeddedSettings
from tallyhouse.welcome import welcome


def open_worker_listener() -> AbstractContextManager[socket.socket]:
    """The gateway's own questions. Any free port: only it is told which."""
    return open_loopback_listener(0)


@contextmanager
def open_clickhouse_listener(settings: EmbeddedSettings) -> Iterator[socket.socket | None]:
    """Taken before anything is opened; None where the port is off."""
    port = settings.clickhouse_port
    if port is None:
        yield None
        return
    with ExitStack() as opened:
        try:
            listener = opened.enter_context(open_loopback_listener(port))
        except OSError as error:
            what = f"cannot listen on {HOST} port {port}: {error.strerror or error}"
            how = "stop what uses it, or name another with TALLYHOUSE_CLICKHOUSE_PORT"
            raise Misconfigured([f"{what}; {how}"]) from error
        yield listener


_SWITCH_SECONDS = 0.001
"""How long another thread may hold the interpreter while a request waits: a fifth of the default."""


def serve(environ: Mapping[str, str]) -> int:
    """The exit code, once stopped."""
    settings = read_settings(environ)
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=_now)
    forward_stdlib(logger)
    sys.setswitchinterval(_SWITCH_SECONDS)
    memory.configure_allocator()
    runtime = Runtime(clock=_now, logger=logger, metrics=PrometheusMetrics())
    with (
        open_listener(settings.host, settings.port) as listener,
        open_clickhouse_listener(settings) as clickhouse_listener,
        open_worker_listener() as worker_listener,
        DataDirectory(settings.data_dir).hold_lock() as lock,
    ):
        uvloop.run(_serve(settings, runtime, listener, Inherited(environ, lock, worker_listener, clickhouse_listener)))
    return 0


async def _serve(settings: EmbeddedSettings, runtime: Runtime, listener: socket.socket, inherited: Inherited) -> None:
    async with AsyncExitStack() as opened:
        supervised = await opened.enter_async_context(supervise_worker(inherited, runtime.logger))
        # Only here: loading it takes as long as the worker takes to load what it needs.
        from tallyhouse.embedded.gateway import open_embedded_gateway  # noqa: PLC0415

        gateway = await opened.enter_async_context(open_embedded_gateway(settings, runtime, supervised))
        first_key = await _install_key(settings, gateway.ledger.accounts)
        server = Server(gateway.app, settings.shutdown_grace)
        port = listener.getsockname()[1]
        print(welcome(settings, port, first_key, _now()), flush=True)  # noqa: T201 - this is for the person who started it
        memory.freeze_garbage_collector()
        await server.serve(sockets=[listener])
        runtime.logger.info("stopping: finishing what is in flight")
    runtime.logger.info("stopped")


async def _install_key(settings: EmbeddedSettings, accounts: Accounts) -> str | None:
    """At the first start, the admin key. One that we made is kept for the commands on this machine."""
    made = await accounts.bootstrap(settings.bootstrap_api_key)
    if made is None or settings.bootstrap_api_key is not None:
        return None
    _, token = made
    DataDirectory(settings.data_dir).write_key_file(token)
    return token


def _now() -> int:
    return time.time_ns() // 1000
