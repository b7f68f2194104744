"""The HTTP server under the application: where it listens, and how it stops."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
"""Only the loopback interface: what goes over it is not encrypted."""

_BACKLOG = 512
_GRACE_SECONDS = 10


@contextmanager
def open_loopback_listener(port: int) -> Iterator[socket.socket]:
    """Raises OSError where the port is taken; 0 takes a free one."""
    # With the protocol named: an event loop sends without delay only on sockets that say they are TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
        yield listener


@asynccontextmanager
async def run_server(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """In the background; at the end, what is in flight is answered first."""
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


class _Server(uvicorn.Server):
    """Signals are for whoever started it."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override] # as good as its own
        """None."""
        return contextlib.nullcontext()
