"""Answers leave in one piece, over a real connection."""

import asyncio
from typing import Any

import pytest
import uvicorn

from tallyhouse.runtime.single_write import HttpConnection, SingleWriteTransport

pytestmark = pytest.mark.anyio


class Recorder(asyncio.Transport):
    """Remembers each write that reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Any] = []

    def write(self, data: Any) -> None:
        self.said.append(bytes(data))

    def close(self) -> None:
        self.said.append("closed")

    def abort(self) -> None:
        self.said.append("aborted")

    def is_closing(self) -> bool:
        return "closed" in self.said


async def test_what_is_written_in_one_turn_leaves_together() -> None:
    """Head and body are one write; what comes a turn later is another."""
    recorder = Recorder()
    transport = SingleWriteTransport(recorder, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert recorder.said == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    assert recorder.said == [b"head body", b"next"]


async def test_closing_sends_what_was_written_before() -> None:
    """A refusal that ends the connection still reaches its caller, once."""
    recorder = Recorder()
    transport = SingleWriteTransport(recorder, asyncio.get_running_loop())
    transport.write(b"no")
    transport.close()
    await asyncio.sleep(0)
    assert recorder.said == [b"no", "closed"]


async def test_aborting_sends_nothing_more() -> None:
    """The connection is gone at once."""
    recorder = Recorder()
    transport = SingleWriteTransport(recorder, asyncio.get_running_loop())
    transport.write(b"lost")
    transport.abort()
    await asyncio.sleep(0)
    assert recorder.said == ["aborted"]


async def test_a_complete_answer_leaves_in_the_same_turn() -> None:
    """Whoever has said all does not wait for the next turn, which may be a long one."""
    recorder = Recorder()
    said: list[list[Any]] = []
    answered = asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        said.append([*recorder.said])
        await send({"type": "http.response.body", "body": b"body"})
        said.append([*recorder.said])
        answered.set()

    config = uvicorn.Config(app, http=HttpConnection, log_config=None, lifespan="off", ws="none")
    config.load()
    connection = HttpConnection(config, uvicorn.server.ServerState(), {})
    connection.connection_made(recorder)
    connection.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(answered.wait(), 10)
    connection.connection_lost(None)
    assert said[0] == []
    (answer,) = said[1]
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\nbody")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body it got, in two pieces where asked for."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"], "more_body": scope["path"] == "/twice"})
    if scope["path"] == "/twice":
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": message["body"]})


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    """Pipelined posts, streamed answers and a last one that closes: all arrive whole and in order."""
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
