"""A keep-alive HTTP connection that posts one body at a time, at a few microseconds per post."""

import asyncio
from typing import NamedTuple, cast

import httptools

from tallyhouse.load.target import Target

LOST = 0


class HttpReply(NamedTuple):
    """An answer; status LOST if the connection ended before the answer was complete."""

    status: int
    body: bytes
    retry_after: float


class Connection(asyncio.Protocol):
    """Posts one body at a time."""

    def __init__(self, target: Target) -> None:
        self._head = target.head
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: asyncio.Future[HttpReply] | None = None
        self._body: list[bytes] = []
        self._retry_after = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def post(self, body: bytes) -> asyncio.Future[HttpReply]:
        """Posts the body. The future always completes, with status LOST if the connection is lost."""
        self._waiting = answer = asyncio.get_running_loop().create_future()
        self._body.clear()
        self._retry_after = 0.0
        if self._transport is None or not self.is_open:
            self._finish(LOST)
        else:
            self._transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        return answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._finish(LOST)

    # Called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = float(value)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        self._finish(self._parser.get_status_code())

    def _finish(self, status: int) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(HttpReply(status, b"".join(self._body), self._retry_after))
