"""Transports that write each response at once: head and body in one system call and one packet.

A complete response is written immediately, because the next turn of a busy event loop may be milliseconds away.
"""

import asyncio
from typing import Any, Protocol

_JOINED_BYTES = 64 * 1024
"""A longer body goes out as it is: a page that a thousand clients fetch would be copied a thousand times."""


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
        if not self._buffered:
            return
        pieces = self._buffered
        self._buffered = []
        if len(pieces[-1]) <= _JOINED_BYTES:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self._transport.write(piece)

    def write_eof(self) -> None:
        self.flush()
        self._transport.write_eof()

    def unsent_bytes(self) -> int:
        """The bytes that the client has yet to take."""
        return self._transport.get_write_buffer_size()

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


class Lingering(Protocol):
    """A connection whose client may still send when it closes."""

    @property
    def is_lingering(self) -> bool:
        """True after the connection was half-closed."""
        ...

    def lingers(self) -> bool:
        """Half-closes the connection if the client may still send. Returns False if it can be closed at once."""
        ...


class HalfClosingTransport(SingleWriteTransport):
    """Closes as its connection decides."""

    connection: Lingering | None = None

    def close(self) -> None:
        self.flush()
        if self.connection is None or not self.connection.lingers():
            self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing() or (self.connection is not None and self.connection.is_lingering)
