"""`tallyhouse serve`: listens, opens everything, says how to use it, and stops cleanly when asked to."""

import socket
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack

import uvloop

from ingest_gateway.ports import Accounts
from tallyhouse.embedded.listeners import clickhouse_listening, listening_for_questions
from tallyhouse.embedded.worker_supervisor import Handed, kept_running
from tallyhouse.runtime import memory
from tallyhouse.runtime.context import Surroundings
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.http_server import Server, listening
from tallyhouse.runtime.logs import build_logger, forward_stdlib
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tallyhouse.runtime.settings import Settings
from tallyhouse.welcome import welcome

_SWITCH_SECONDS = 0.001
"""How long another thread may hold the interpreter while a request waits: a fifth of the default."""


def serve(environ: Mapping[str, str]) -> int:
    """The exit code, once stopped."""
    settings = read_settings(environ)
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=_now)
    forward_stdlib(logger)
    sys.setswitchinterval(_SWITCH_SECONDS)
    memory.prepare()
    around = Surroundings(clock=_now, logger=logger, metrics=PrometheusMetrics())
    with (
        listening(settings.host, settings.port) as listener,
        clickhouse_listening(settings) as for_clients,
        listening_for_questions() as for_questions,
        DataDirectory(settings.data_dir).owned() as lock,
    ):
        uvloop.run(_serve(settings, around, listener, Handed(environ, lock, for_questions, for_clients)))
    return 0


async def _serve(settings: Settings, around: Surroundings, listener: socket.socket, handed: Handed) -> None:
    async with AsyncExitStack() as opened:
        kept = await opened.enter_async_context(kept_running(handed, around.logger))
        # Only here: loading it takes as long as the worker takes to load what it needs.
        from tallyhouse.embedded.gateway import open_embedded  # noqa: PLC0415

        embedded = await opened.enter_async_context(open_embedded(settings, around, kept))
        first_key = await _install_key(settings, embedded.ledger.accounts)
        server = Server(embedded.app, settings.shutdown_grace)
        port = listener.getsockname()[1]
        print(welcome(settings, port, first_key, _now()), flush=True)  # noqa: T201 - this is for the person who started it
        memory.settle()
        await server.serve(sockets=[listener])
        around.logger.info("stopping: finishing what is in flight")
    around.logger.info("stopped")


async def _install_key(settings: Settings, accounts: Accounts) -> str | None:
    """At the first start, the admin key. One that we made is kept for the commands on this machine."""
    made = await accounts.bootstrap(settings.bootstrap_api_key)
    if made is None or settings.bootstrap_api_key is not None:
        return None
    _, token = made
    DataDirectory(settings.data_dir).keep_key(token)
    return token


def _now() -> int:
    return time.time_ns() // 1000
