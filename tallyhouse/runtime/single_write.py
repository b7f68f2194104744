"""HTTP connections that write each response at once: head and body in one system call and one packet.

A complete response is written immediately, because the next turn of a busy event loop may be milliseconds away.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class SingleWriteTransport(asyncio.Transport):
    """A transport that buffers what is written in one turn of the event loop, or until `flush`."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._buffered: list[bytes] = []

    def write(self, data: Any) -> None:
        if not self._buffered:
            self._loop.call_soon(self.flush)
        self._buffered.append(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._buffered.clear()
        self._transport.abort()

    def flush(self) -> None:
        if self._buffered:
            whole = b"".join(self._buffered)
            self._buffered.clear()
            self._transport.write(whole)

    # The other methods delegate to the wrapped transport.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)


class HttpConnection(HttpToolsProtocol):
    """uvicorn's HTTP connection over a `SingleWriteTransport`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        self._single_write = SingleWriteTransport(transport, self.loop)
        super().connection_made(self._single_write)

    def on_response_complete(self) -> None:
        self._single_write.flush()
        super().on_response_complete()
