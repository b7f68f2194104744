"""The HTTP server under the application: its listening socket, start and graceful stop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
"""Only the loopback interface, because the traffic is not encrypted."""

_BACKLOG = 512
_GRACE_SECONDS = 10


@contextmanager
def open_loopback_listener(port: int) -> Iterator[socket.socket]:
    """Listens on the port; 0 takes a free one. Raises OSError if the port is taken."""
    # With the protocol given: an event loop sets TCP_NODELAY only on sockets declared as TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
        yield listener


@asynccontextmanager
async def run_server(app: ASGIApp, listener: socket.socket, connections: Any = "httptools") -> AsyncIterator[None]:
    """Runs the server in the background; at the end of the context, requests in flight are answered first.

    `connections` is uvicorn's setting `http`: what makes a connection, and so what limits one.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=connections,
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
    """A server that leaves signals to its process."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override] # a context manager like its own
        return contextlib.nullcontext()
