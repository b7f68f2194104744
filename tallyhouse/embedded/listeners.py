"""Ports that the gateway takes and the worker answers at: so they stay taken while a worker is started again."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from schemas.errors import Misconfigured
from stream_processors.clickhouse_server.server import HOST, open_listener
from tallyhouse.runtime.settings import EmbeddedSettings


def open_worker_listener() -> AbstractContextManager[socket.socket]:
    """The gateway's own questions. Any free port: only it is told which."""
    return open_listener(0)


@contextmanager
def open_clickhouse_listener(settings: EmbeddedSettings) -> Iterator[socket.socket | None]:
    """Taken before anything is opened; None where the port is off."""
    port = settings.clickhouse_port
    if port is None:
        yield None
        return
    with ExitStack() as opened:
        try:
            listener = opened.enter_context(open_listener(port))
        except OSError as error:
            what = f"cannot listen on {HOST} port {port}: {error.strerror or error}"
            how = "stop what uses it, or name another with TALLYHOUSE_CLICKHOUSE_PORT"
            raise Misconfigured([f"{what}; {how}"]) from error
        yield listener
