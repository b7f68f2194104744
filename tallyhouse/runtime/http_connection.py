"""One HTTP connection within limits: what a caller may send, how slowly, and how its refusal reaches it.

uvicorn's connection over httptools, with these differences:

- What breaks a limit, or is not HTTP, goes to the application as a request whose scope holds the error under `refusal`,
  so that the answer has the application's form. It is the connection's last response.
- Trailers are dropped: they come after the request has been authorized.
- A connection that closes while the client still sends is half-closed first, and what arrives is discarded for a while.
  A socket closed with unread data resets the connection, and the client would lose the response.
- One timer for all connections ends those that get no further (`connection_limits`).
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from schemas.errors import Busy, HeadersTooLarge, MalformedRequest, Refused, RequestTimeout, UrlTooLong
from tallyhouse.runtime.connection_limits import ConnectionTable, HttpLimits
from tallyhouse.runtime.single_write import HalfClosingTransport

_LINGER_SECONDS = 30.0
_LINGER_PAUSE_SECONDS = 5.0
_LINGER_BYTES = 256 << 20
"""How long, with what pauses and how much a client may send on after its response."""
_REFUSED_SECONDS = 2.0
"""How long a connection beyond the limit may take to begin the request that is answered 503."""
_SLICE_BYTES = 128 * 1024
"""The parser keeps what has arrived of an incomplete header, and says nothing of it: it never gets more at a time."""


# Plain numbers, because they are compared ten times a request, and each look at a member of an Enum costs as much as
# parsing a header.
_BETWEEN, _HEAD, _BODY = range(3)
"""What the next byte belongs to: nothing yet, a request's head, its body."""

_AWAITS_HEAD, _RESPONDS, _AWAITS_REQUEST, _DRAINS, _LINGERS, _CLOSES = range(6)
"""What the connection does: awaits the rest of a head; runs the application, which may read the body; awaits the next
request; drops the rest of a body that has been answered; lets the client read the last response; sends its last bytes.
"""


class _TooManyQueued(Exception):
    """The client has sent too many requests ahead of the responses."""


class HttpConnection(HttpToolsProtocol):
    """uvicorn's HTTP connection, within `limits`."""

    def __init__(self, *arguments: Any, limits: HttpLimits, table: ConnectionTable, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._table = table
        self.deadline = 0.0
        self._phase = _AWAITS_HEAD
        self._part = _BETWEEN
        self._running: RequestResponseCycle | None = None
        self._refusal: Busy | None = None
        self._parses = True
        self._stops = False
        self._messages = 0
        self._header_room = 0
        self._unparsed = 0
        self._has_body_bytes = False
        self._discarded = 0
        self._linger_end = 0.0
        self._unsent = 0

    # The connection in the table

    @property
    def is_waiting(self) -> bool:
        return self._phase != _RESPONDS

    @property
    def is_lingering(self) -> bool:
        return self._phase == _LINGERS

    def abort(self) -> None:
        self.transport.abort()

    def expire(self, now: float) -> None:
        """Ends a connection that gets no further, with an answer where one is possible."""
        if self._phase in (_LINGERS, _DRAINS):
            self.abort()
        elif self._single_write.unsent_bytes():
            self._expect_a_reader(now)
        elif self._phase == _RESPONDS:
            self._expect_a_body(now)
        elif self._part == _HEAD:
            self._refuse(RequestTimeout(self._too_slow("the headers were not complete within")))
        else:
            self.transport.close()

    def _expect_a_reader(self, now: float) -> None:
        unsent, before = self._single_write.unsent_bytes(), self._unsent
        if before and unsent >= before:
            self.abort()
        self._unsent = unsent
        self.deadline = now + self._limits.stall_seconds

    def _expect_a_body(self, now: float) -> None:
        # While reading is paused, the application has yet to take what has arrived.
        if self._part == _BODY and self._parses and not self.flow.read_paused:
            self._refuse(RequestTimeout(self._too_slow("no byte of the body arrived for")))
        self._unsent = 0
        self.deadline = now + self._limits.stall_seconds

    def _too_slow(self, what: str) -> str:
        return f"{what} {self._limits.stall_seconds:g} seconds (TALLYHOUSE_STALL_TIMEOUT); send the request again"

    # The transport's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        self._single_write = HalfClosingTransport(transport, self.loop)
        self._single_write.connection = self
        super().connection_made(self._single_write)
        self._refusal = self._table.admit(self, self.client[0] if self.client else "")
        patience = self._limits.stall_seconds if self._refusal is None else _REFUSED_SECONDS
        self.deadline = self.loop.time() + patience

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.remove(self)
        super().connection_lost(exc)
        self._single_write.connection = None

    def shutdown(self) -> None:
        self._stops = True
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        if not self._parses:
            self._discard(len(data))
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif len(data) <= _SLICE_BYTES:
            self._feed(data)
        else:
            whole = memoryview(data)
            for start in range(0, len(data), _SLICE_BYTES):
                if self._parses:
                    self._feed(whole[start : start + _SLICE_BYTES])

    def _feed(self, data: bytes | memoryview) -> None:
        part, messages = self._part, self._messages
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # No other protocol is spoken here: the request is answered as HTTP, and what follows it is not.
            self._stop_parsing()
        except httptools.HttpParserError as error:
            self._parser_failed(error)
        else:
            if self._part == _HEAD:
                self._await_head(part, messages, len(data))
            elif self._part == _BODY:
                self._await_body(len(data))

    def _parser_failed(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
        if isinstance(cause, _TooManyQueued):
            self._stop_parsing()
        elif isinstance(cause, Refused):
            self._refuse(cause)
        else:
            self._refuse(
                MalformedRequest(f"the request is not valid HTTP/1.1: {cause or error}; the connection closes")
            )

    def _stop_parsing(self) -> None:
        """The last request that has been parsed is the connection's last one."""
        self._parses = False
        self.cycle.keep_alive = False

    def _await_head(self, part: int, messages: int, size: int) -> None:
        if part == _HEAD and messages == self._messages:
            self._unparsed += size
        else:
            # What precedes the head in the same slice is not counted; the slice bounds it.
            self._unparsed = size if part == _BETWEEN and messages + 1 == self._messages else 0
        if self._phase == _AWAITS_REQUEST:
            self._phase = _AWAITS_HEAD
            self.deadline = self.loop.time() + self._limits.stall_seconds
        if self._unparsed > self._limits.header_bytes + self._limits.url_bytes:
            self._refuse(self._headers_too_large())

    def _await_body(self, size: int) -> None:
        if self._has_body_bytes:
            self._has_body_bytes = False
            self._unparsed = 0
        else:  # trailers, or the line before a chunk
            self._unparsed += size
            if self._unparsed > self._limits.header_bytes:
                self._refuse(self._headers_too_large())
                return
        if self._phase == _DRAINS:
            self._discard(size)
        else:
            self.deadline = self.loop.time() + self._limits.stall_seconds

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _LINGER_BYTES:
            self.abort()
        elif self._phase in (_LINGERS, _DRAINS):
            self.deadline = min(self.loop.time() + _LINGER_PAUSE_SECONDS, self._linger_end)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        self._part = _HEAD
        self._messages += 1
        self._header_room = self._limits.header_bytes
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.url_bytes:
            raise UrlTooLong(f"the URL is longer than the limit of {self._limits.url_bytes} bytes; shorten the query")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._part != _HEAD:
            return  # a trailer
        self._header_room -= len(name) + len(value)
        if self._header_room < 0 or len(self.headers) >= self._limits.header_count:
            raise self._headers_too_large()
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def _headers_too_large(self) -> HeadersTooLarge:
        limits = self._limits
        return HeadersTooLarge(
            f"the headers exceed the limit of {limits.header_bytes} bytes and {limits.header_count} headers; send "
            "fewer or shorter ones"
        )

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self._limits.queued_requests:
            raise _TooManyQueued
        super().on_headers_complete()
        self._part = _BODY
        self._phase = _RESPONDS
        self._unparsed = 0
        self.deadline = self.loop.time() + self._limits.stall_seconds

    def on_body(self, body: bytes) -> None:
        self._has_body_bytes = True
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._part = _BETWEEN
        self._has_body_bytes = False
        cycle = self.cycle
        if cycle.response_complete:
            self._await_next_request()
            return
        cycle.more_body = False
        cycle.message_event.set()

    # Responses

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._single_write.flush()
        self.server_state.total_requests += 1
        cycle = self._running
        if cycle is not None and cycle.body:
            cycle.body = bytearray()  # unread, and otherwise kept until the next request
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._part == _BETWEEN:
            self._await_next_request()
        elif self._part == _HEAD:
            self._phase = _AWAITS_HEAD
            self.deadline = self.loop.time() + self._limits.stall_seconds
        elif self.expect_100_continue:
            self.transport.close()  # whether the body still comes is the client's choice
        else:
            self._phase = _DRAINS
            self._begin_to_discard()

    def _await_next_request(self) -> None:
        self._phase = _AWAITS_REQUEST
        self.deadline = self.loop.time() + self._limits.keep_alive_seconds

    def _begin_to_discard(self) -> None:
        now = self.loop.time()
        self._discarded = 0
        self._linger_end = now + _LINGER_SECONDS
        self.deadline = now + _LINGER_PAUSE_SECONDS

    def lingers(self) -> bool:
        """Half-closes the connection if the client may still send. Returns False if it can be closed at once."""
        if self.is_lingering:
            return not self._stops
        sends = self._part != _BETWEEN or not self._parses
        if not sends or self._stops or self._single_write.is_closing():
            self._phase = _CLOSES
            self.deadline = self.loop.time() + self._limits.stall_seconds
            return False
        self._single_write.write_eof()
        self.flow.resume_reading()
        self._phase = _LINGERS
        self._parses = False
        self._begin_to_discard()
        return True

    def _refuse(self, error: Exception) -> None:
        """Answers the request that is arriving with the error, after the requests before it, and closes."""
        self._parses = False
        unfinished = self.cycle if self._part == _BODY else None
        if unfinished is not None:
            if unfinished.response_started:
                self.transport.close()
                return
            unfinished.disconnected = True
            unfinished.message_event.set()
            self._drop_queued(unfinished)
        refusal = self._refusal_cycle(error)
        before = self._running
        self._phase = _RESPONDS
        self.deadline = self.loop.time() + self._limits.stall_seconds
        if before is None or before.response_complete or before is unfinished:
            self._start_asgi_task(refusal, self.app)
        else:
            self.pipeline.appendleft((refusal, self.app))

    def _drop_queued(self, unfinished: RequestResponseCycle) -> None:
        if self.pipeline and self.pipeline[0][0] is unfinished:
            self.pipeline.popleft()

    def _refusal_cycle(self, error: Exception) -> RequestResponseCycle:
        begun = self._messages > 0 and self._part != _BETWEEN and self.url
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "method": self.parser.get_method().decode() if begun else "GET",
            "path": self.url[:200].decode("latin-1") if begun else "",
            "raw_path": b"",
            "query_string": b"",
            "headers": [],
            "state": {},
            "refusal": error,
        }
        self.cycle = RequestResponseCycle(
            scope=scope,  # type: ignore[arg-type] # with one entry more
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self.cycle.more_body = False
        return self.cycle
