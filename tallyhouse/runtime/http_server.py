"""The HTTP server of every process: its listening sockets, and how it stops."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from schemas.errors import Misconfigured
from schemas.timestamps import SECOND
from tallyhouse.runtime.connection_limits import ConnectionTable, HttpLimits, affordable_connections
from tallyhouse.runtime.http_connection import HttpConnection
from tallyhouse.runtime.settings import ServiceSettings

_BACKLOG = 2048


def limits_of(settings: ServiceSettings) -> HttpLimits:
    """The limits of the process's HTTP servers, within the limit of open files."""
    return HttpLimits(
        connections=affordable_connections(settings.connection_limit),
        connections_per_address=settings.connection_limit_per_address,
        stall_seconds=settings.stall_timeout / SECOND,
        keep_alive_seconds=settings.keep_alive / SECOND,
    )


def connections_within(limits: HttpLimits) -> Any:
    """What makes the connections of one uvicorn server, for its setting `http`."""
    return partial(HttpConnection, limits=limits, table=ConnectionTable(limits))


class Server(uvicorn.Server):
    """Stops at SIGINT or SIGTERM and then returns, so that the parts behind it can be closed in order."""

    def __init__(self, app: ASGIApp, limits: HttpLimits, grace: int) -> None:
        """Requests in flight at the stop may take `grace` microseconds."""
        super().__init__(
            uvicorn.Config(
                app,
                http=connections_within(limits),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=grace // SECOND,
            )
        )

    def stop(self) -> None:
        """Stops the server as a signal does."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own version raises the signal again after the stop: the process would end before anything is closed.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


@contextmanager
def open_listener(host: str, port: int, setting: str = "TALLYHOUSE_PORT") -> Iterator[socket.socket]:
    """Binds the port. Raises Misconfigured, which names `setting`, if it is taken."""
    try:
        listener = _bind(host, port, shared=False)
    except OSError as error:
        what = f"cannot listen on {host} port {port}: {error.strerror or error}"
        how = f"stop what uses it, or name another with TALLYHOUSE_HOST and {setting}"
        raise Misconfigured([f"{what}; {how}"]) from error
    with listener:
        yield listener


class BackgroundServer(Server):
    """A second server of a process; the main one handles the signals."""

    def __init__(self, app: ASGIApp, limits: HttpLimits) -> None:
        super().__init__(app, limits, grace=SECOND)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @asynccontextmanager
    async def serve_in_background(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serves on `listener` while it is open."""
        running = asyncio.create_task(self.serve(sockets=[listener]))
        try:
            yield
        finally:
            self.stop()
            await running


@contextmanager
def open_shared_listeners(host: str, port: int, times: int) -> Iterator[Sequence[socket.socket]]:
    """Binds one port several times, once for each process; the system distributes the connections.

    Raises Misconfigured if the port is taken.
    """
    # Processes that accept from one shared socket do not share the load: the first to wake takes all connections.
    # The exclusive bind fails if another program has the port, which a shared bind would join unnoticed.
    with open_listener(host, port) as alone:
        taken: int = alone.getsockname()[1]
    with ExitStack() as stack:
        yield [stack.enter_context(_bind(host, taken, shared=True)) for _ in range(times)]


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shared)
