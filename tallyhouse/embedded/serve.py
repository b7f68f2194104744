"""`tallyhouse serve`: binds the ports, opens the embedded gateway and its worker, and stops them cleanly."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager

import uvloop

from schemas.errors import Misconfigured
from stream_processors.clickhouse_server.server import HOST, open_loopback_listener
from tallyhouse.embedded.worker_supervisor import Inherited, supervise_worker
from tallyhouse.runtime import memory
from tallyhouse.runtime.clock import now
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.http_server import Server, limits_of, open_listener
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.settings import EmbeddedSettings
from tallyhouse.runtime.startup import Runtime, prepare_process
from tallyhouse.welcome import FirstStart, LaterStart, welcome

_ANY_FREE_PORT = 0


@contextmanager
def open_clickhouse_listener(settings: EmbeddedSettings) -> Iterator[socket.socket | None]:
    """Yields None if the port is off. Raises Misconfigured if it is taken."""
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


def serve(environ: Mapping[str, str]) -> int:
    """Serves until SIGINT or SIGTERM; returns the exit code."""
    settings = read_settings(environ)
    logger = prepare_process(settings, short_switches=True)
    runtime = Runtime(clock=now, logger=logger, metrics=PrometheusMetrics())
    with (
        open_listener(settings.host, settings.port) as listener,
        open_clickhouse_listener(settings) as clickhouse_listener,
        # Only the gateway connects to the worker, so any free port will do.
        open_loopback_listener(_ANY_FREE_PORT) as worker_listener,
        DataDirectory(settings.data_dir).hold_lock() as lock,
    ):
        uvloop.run(_serve(settings, runtime, listener, Inherited(environ, lock, worker_listener, clickhouse_listener)))
    return 0


async def _serve(settings: EmbeddedSettings, runtime: Runtime, listener: socket.socket, inherited: Inherited) -> None:
    async with AsyncExitStack() as opened:
        supervised = await opened.enter_async_context(supervise_worker(inherited, runtime.logger))
        # Imported here, while the worker loads its own modules: both take about a second.
        from tallyhouse.embedded.admin_key import install_admin_key  # noqa: PLC0415
        from tallyhouse.embedded.gateway import open_embedded_gateway  # noqa: PLC0415

        gateway = await opened.enter_async_context(open_embedded_gateway(settings, runtime, supervised))
        ledger = gateway.ledger
        start = await install_admin_key(settings, ledger.accounts, ledger.api_keys, now(), runtime.logger)
        server = Server(gateway.app, limits_of(settings), settings.shutdown_grace)
        _print_welcome(settings, settings.url_at(listener.getsockname()[1]), start)
        memory.freeze_garbage_collector()
        await server.serve(sockets=[listener])
        runtime.logger.info("stopping: finishing requests in flight")
    runtime.logger.info("stopped")


def _print_welcome(settings: EmbeddedSettings, url: str, start: FirstStart | LaterStart) -> None:
    headline = f"Tallyhouse is counting at {url}, data in {settings.data_dir.absolute()}"
    text = welcome(headline, url, settings.key_file, start, now())
    print(text, end="", flush=True)  # noqa: T201 - for the person who started the process
