"""A response is written in one piece."""

import asyncio
from typing import Any

import pytest
import uvicorn

from tallyhouse.runtime.single_write import HttpConnection, SingleWriteTransport

pytestmark = pytest.mark.anyio


class Recorder(asyncio.Transport):
    """Records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Any] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.written.append("closed")

    def abort(self) -> None:
        self.written.append("aborted")

    def is_closing(self) -> bool:
        return "closed" in self.written


async def test_writes_of_one_turn_of_the_loop_are_joined() -> None:
    """Head and body are one write; the next turn makes another."""
    recorder = Recorder()
    transport = SingleWriteTransport(recorder, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert recorder.written == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    assert recorder.written == [b"head body", b"next"]


async def test_closing_sends_the_buffered_writes() -> None:
    """A refusal that ends the connection still reaches the client, once."""
    recorder = Recorder()
    transport = SingleWriteTransport(recorder, asyncio.get_running_loop())
    transport.write(b"no")
    transport.close()
    await asyncio.sleep(0)
    assert recorder.written == [b"no", "closed"]


async def test_aborting_sends_nothing_more() -> None:
    recorder = Recorder()
    transport = SingleWriteTransport(recorder, asyncio.get_running_loop())
    transport.write(b"lost")
    transport.abort()
    await asyncio.sleep(0)
    assert recorder.written == ["aborted"]


async def test_a_complete_response_is_written_in_the_same_turn() -> None:
    """The next turn of the loop may be milliseconds later."""
    recorder = Recorder()
    writes: list[list[Any]] = []
    answered = asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        writes.append([*recorder.written])
        await send({"type": "http.response.body", "body": b"body"})
        writes.append([*recorder.written])
        answered.set()

    config = uvicorn.Config(app, http=HttpConnection, log_config=None, lifespan="off", ws="none")
    config.load()
    connection = HttpConnection(config, uvicorn.server.ServerState(), {})
    connection.connection_made(recorder)
    connection.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(answered.wait(), 10)
    connection.connection_lost(None)
    assert writes[0] == []
    (answer,) = writes[1]
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\nbody")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the request's body, on `/twice` in two pieces."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"], "more_body": scope["path"] == "/twice"})
    if scope["path"] == "/twice":
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": message["body"]})


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    """Pipelined posts, streamed responses and a last one that closes the connection."""
    config = uvicorn.Config(echo, http=HttpConnection, log_config=None, lifespan="off", ws="none")
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpConnection(config, state, {}), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        for number in range(20):
            path = "twice" if number % 3 == 0 else "once"
            writer.write(f"POST /{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n{number:04}".encode())
        writer.write(b"POST /once HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nend")
        received = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    bodies = [part for part in received.replace(b"\r\n", b"\n").split(b"\n") if part.isdigit() and len(part) == 4]
    assert bodies == [f"{number:04}".encode() for number in range(20) for _ in range(2 if number % 3 == 0 else 1)]
    assert received.count(b"HTTP/1.1 200") == 21
    assert b"end" in received[-20:]
