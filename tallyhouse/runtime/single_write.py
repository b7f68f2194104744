"""HTTP connections whose answers leave in one piece: head and body in one system call, one packet, one wake-up.

And at once, where an answer is complete: beside a busy event loop, a turn later is milliseconds later.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class SingleWriteTransport(asyncio.Transport):
    """A transport that gathers what is written in one turn of the loop, or until it is flushed."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._gathered: list[bytes] = []

    def write(self, data: Any) -> None:
        """Kept until what is running now has said all it has to say."""
        if not self._gathered:
            self._loop.call_soon(self.flush)
        self._gathered.append(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._gathered.clear()
        self._transport.abort()

    def flush(self) -> None:
        """Now, whatever there is."""
        if self._gathered:
            whole = b"".join(self._gathered)
            self._gathered.clear()
            self._transport.write(whole)

    # The rest is the transport's own.

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
    """uvicorn's, over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        self._single_write = SingleWriteTransport(transport, self.loop)
        super().connection_made(self._single_write)

    def on_response_complete(self) -> None:
        self._single_write.flush()
        super().on_response_complete()
