"""One connection: its order, its limits, and its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from tallyhouse.runtime.connection_limits import ConnectionTable, HttpLimits
from tallyhouse.runtime.http_connection import HttpConnection

pytestmark = pytest.mark.anyio

LIMITS = HttpLimits(header_bytes=1000, header_count=10, url_bytes=100, queued_requests=4)
START = b"HTTP/1.1 %d"


class Recorder(asyncio.Transport):
    """Records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Any] = []
        self.unsent = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def write_eof(self) -> None:
        self.written.append("half-closed")

    def close(self) -> None:
        self.written.append("closed")

    def abort(self) -> None:
        self.written.append("aborted")

    def is_closing(self) -> bool:
        return "closed" in self.written or "aborted" in self.written

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    @property
    def statuses(self) -> list[int]:
        return [int(piece.split()[1]) for piece in self.written if isinstance(piece, bytes) and piece[:4] == b"HTTP"]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the request's body, on `/twice` in two pieces, on `/unread` without it; a refusal with 400."""
    if "refusal" in scope:
        status, body = 400, str(scope["refusal"]).encode()
    elif scope["path"] == "/unread":
        status, body = 401, b""
    else:
        status, body, more = 200, b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body, "more_body": scope["path"] == "/twice"})
    if scope["path"] == "/twice":
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


def connect(app: Callable[..., Any] = echo, limits: HttpLimits = LIMITS) -> tuple[HttpConnection, Recorder]:
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
    config.load()
    connection = HttpConnection(config, uvicorn.server.ServerState(), {}, limits=limits, table=ConnectionTable(limits))
    recorder = Recorder()
    connection.connection_made(recorder)
    return connection, recorder


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


def expire(connection: HttpConnection) -> None:
    connection.expire(connection.deadline)


async def test_a_complete_response_is_written_in_the_same_turn() -> None:
    """The next turn of the loop may be milliseconds later."""
    writes: list[list[Any]] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        writes.append([*recorder.written])
        await send({"type": "http.response.body", "body": b"body"})
        writes.append([*recorder.written])

    connection, recorder = connect(app)
    connection.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await settle()
    connection.connection_lost(None)
    assert writes[0] == []
    (answer,) = writes[1]
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"GET /" + b"a" * 101 + b" HTTP/1.1\r\n\r\n", "URL is longer than the limit of 100 bytes"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 11 + b"\r\n", "limit of 1000 bytes and 10 headers"),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 1000 + b"\r\n\r\n", "limit of 1000 bytes and 10 headers"),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 1101, "limit of 1000 bytes and 10 headers"),
        (b"GET / HTTP/1.1\r\nb\x00: c\r\n\r\n", "not valid HTTP/1.1"),
        (b"nonsense\r\n\r\n", "not valid HTTP/1.1"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_head_beyond_a_limit_is_answered_and_then_no_more(head: bytes, message: str, size: int) -> None:
    """However it is cut. What follows is discarded while the client may still read the answer."""
    connection, recorder = connect()
    for start in range(0, len(head), size):
        connection.data_received(head[start : start + size])
    await settle()
    connection.data_received(b"GET /more HTTP/1.1\r\n\r\n")
    await settle()
    answer, end = recorder.written
    assert message.encode() in answer
    assert b"connection: close" in answer
    assert end == "half-closed"
    expire(connection)
    assert recorder.written[-1] == "aborted"


async def test_a_head_at_the_limits_is_accepted() -> None:
    """And so is the next one of the connection: each has its own room."""
    connection, recorder = connect()
    head = b"GET /" + b"a" * 99 + b" HTTP/1.1\r\n" + b"a: %s\r\n" % (b"b" * 99) * 10 + b"\r\n"
    for _ in range(3):
        connection.data_received(head)
        await settle()
    assert recorder.statuses == [200, 200, 200]


async def test_a_large_body_before_the_next_head_is_no_part_of_it() -> None:
    """They may arrive in one piece."""
    connection, recorder = connect()
    body = b"x" * 200_000
    connection.data_received(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body) + b"GET /")
    await settle()
    connection.data_received(b" HTTP/1.1\r\n\r\n")
    await settle()
    assert recorder.statuses == [200, 200]


async def test_a_refused_request_is_answered_after_those_before_it() -> None:
    """The responses are in the order of the requests."""
    connection, recorder = connect()
    connection.data_received(b"GET /twice HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGARBAGE\r\n\r\n")
    await settle()
    assert recorder.statuses == [200, 200, 400]
    assert recorder.written[-1] == "half-closed"


async def test_requests_beyond_those_that_may_queue_are_not_answered() -> None:
    """The last response says that the connection closes."""
    connection, recorder = connect()
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n" * 9)
    await settle()
    assert recorder.statuses == [200] * 5
    *first, last = (piece for piece in recorder.written if isinstance(piece, bytes))
    assert b"connection: close" in last
    assert not any(b"connection: close" in piece for piece in first)


@pytest.mark.parametrize("size", [1, 5, 10_000])
async def test_trailers_are_dropped(size: int) -> None:
    """They reach neither their own request nor the next one."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        seen.append(dict(scope["headers"]))

    connection, recorder = connect(app)
    first = b"POST / HTTP/1.1\r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\na: 2\r\nb: 3\r\n\r\n"
    stream = first + b"GET / HTTP/1.1\r\nc: 4\r\n\r\n"
    for start in range(0, len(stream), size):
        connection.data_received(stream[start : start + size])
    await settle()
    assert recorder.statuses == [200, 200]
    assert seen == [{b"a": b"1", b"transfer-encoding": b"chunked"}, {b"c": b"4"}]


async def test_endless_trailers_end_the_connection() -> None:
    """They are bounded as headers are."""
    connection, recorder = connect()
    connection.data_received(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\na: ")
    for _ in range(20):
        connection.data_received(b"b" * 100)
    await settle()
    assert recorder.statuses == [400]


@pytest.mark.parametrize("stream", [b"", b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n\r\n\r\n"])
async def test_a_connection_between_requests_is_closed_in_silence(stream: bytes) -> None:
    """Line breaks before a request are no request."""
    connection, recorder = connect()
    connection.data_received(stream)
    await settle()
    answers = len(recorder.written)
    assert connection.is_waiting
    expire(connection)
    assert recorder.written[answers:] == ["closed"]


async def test_a_slow_head_is_answered_408() -> None:
    """A byte now and then does not extend its time."""
    connection, recorder = connect()
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await settle()
    connection.data_received(b"G")
    deadline = connection.deadline
    assert deadline < connection.loop.time() + LIMITS.keep_alive_seconds - 1
    connection.data_received(b"E")
    assert connection.deadline == deadline
    expire(connection)
    await settle()
    assert b"the headers were not complete within 20 seconds" in recorder.written[1]


async def test_a_body_that_pauses_is_answered_408() -> None:
    """The application, which waits for it, sees a disconnect."""
    connection, recorder = connect()
    connection.data_received(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nx")
    await settle()
    expire(connection)
    await settle()
    assert recorder.statuses == [400]
    assert b"no byte of the body arrived for 20 seconds" in recorder.written[0]
    assert recorder.written[-1] == "half-closed"


async def test_a_body_that_the_application_has_yet_to_take_does_not_pause() -> None:
    """Nor does a response that is being made."""
    taken = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await taken.wait()
        await echo(scope, receive, send)

    connection, recorder = connect(app)
    connection.data_received(b"POST / HTTP/1.1\r\ncontent-length: 100001\r\n\r\n" + b"x" * 100_000)
    for _ in range(3):
        await settle()
        expire(connection)
    assert recorder.written == []
    taken.set()
    await settle()
    connection.data_received(b"x")
    await settle()
    assert recorder.statuses == [200]


async def test_the_unread_body_of_an_answered_request_is_discarded() -> None:
    """The connection serves the next request, unless the body stops coming."""
    connection, recorder = connect()
    for _ in range(2):
        connection.data_received(b"POST /unread HTTP/1.1\r\ncontent-length: 9\r\n\r\nx")
        await settle()
        connection.data_received(b"12345678")
    assert recorder.statuses == [401, 401]
    connection.data_received(b"POST /unread HTTP/1.1\r\ncontent-length: 9\r\n\r\nx")
    await settle()
    expire(connection)
    assert recorder.written[-1] == "aborted"


async def test_an_unread_response_is_given_up_when_nothing_of_it_is_taken() -> None:
    """A slow reader that takes some is waited for."""
    connection, recorder = connect()
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await settle()
    for recorder.unsent in (100, 90, 80):
        expire(connection)
    assert "aborted" not in recorder.written
    expire(connection)
    assert recorder.written[-1] == "aborted"


async def test_a_stopping_server_waits_for_no_half_request() -> None:
    """Nor for a client that may still read its last response."""
    for stream in (b"GET / HT", b"GARBAGE\r\n\r\n", b"POST /unread HTTP/1.1\r\ncontent-length: 9\r\n\r\nx"):
        connection, recorder = connect()
        connection.data_received(stream)
        await settle()
        connection.shutdown()
        assert recorder.written[-1] == "closed"


async def test_a_client_that_sends_forever_is_cut_off() -> None:
    """The answer is out long before."""
    connection, recorder = connect()
    connection.data_received(b"GARBAGE\r\n\r\n")
    await settle()
    piece = bytes(1 << 20)
    for _ in range(256):
        connection.data_received(piece)
    assert recorder.written[-1] == "half-closed"
    connection.data_received(piece)
    assert recorder.written[-1] == "aborted"


@asynccontextmanager
async def listening(limits: HttpLimits = LIMITS) -> AsyncIterator[tuple[str, int]]:
    config = uvicorn.Config(echo, log_config=None, lifespan="off", ws="none")
    config.load()
    state, table = uvicorn.server.ServerState(), ConnectionTable(limits)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: HttpConnection(config, state, {}, limits=limits, table=table), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[:2]


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    """Pipelined posts, streamed responses and a last one that closes the connection."""
    async with listening(HttpLimits()) as address:
        reader, writer = await asyncio.open_connection(*address)
        for number in range(20):
            path = "twice" if number % 3 == 0 else "once"
            writer.write(f"POST /{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n{number:04}".encode())
        writer.write(b"POST /once HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nend")
        received = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    bodies = [part for part in received.replace(b"\r\n", b"\n").split(b"\n") if b"HTTP" in part and part[:4].isdigit()]
    assert [body[:4] for body in bodies] == [f"{number:04}".encode() for number in range(20)]
    assert received.count(b"HTTP/1.1 200") == 21
    assert received.endswith(b"end")


async def test_the_timer_ends_a_silent_connection() -> None:
    """Nothing but the table's own timer."""
    async with listening(HttpLimits(stall_seconds=0.2)) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /")
        received = await asyncio.wait_for(reader.read(), 10)
        assert b"400" in received
        assert b"within 0.2 seconds" in received
        writer.close()
