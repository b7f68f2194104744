"""A response is written in one piece."""

import asyncio
from typing import Any

import pytest

from tallyhouse.runtime.single_write import SingleWriteTransport

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
