"""A tiny HTTP server that answers the load client's posts by a script."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

import msgspec

from tallyhouse.load.target import Target

Script = Callable[[int, bytes], tuple[int, str, bytes] | None]
"""(number of the post, body) → status, further header lines, body; None drops the connection."""


def accept(_number: int, body: bytes) -> tuple[int, str, bytes]:
    """A gateway's answer that accepts all events."""
    posted = msgspec.json.decode(body)
    if "events" not in posted:
        return 200, "", b'{"success":true,"status":"accepted"}'
    return 200, "", b'{"success":true,"accepted":%d,"duplicates":0,"rejected":[]}' % len(posted["events"])


@asynccontextmanager
async def receiver(script: Script) -> AsyncIterator[tuple[Target, list[bytes]]]:
    """The target of a running server, and the list of received bodies."""
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while head := await _read_head(reader):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                body = await reader.readexactly(int(length.split(b":")[1]))
                bodies.append(body)
                answer = script(len(bodies), body)
                if answer is None:
                    return
                status, headers, content = answer
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}\r\n".encode() + content
                )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    try:
        yield Target(host="127.0.0.1", port=port, api_key="ak_test_key"), bodies
    finally:
        server.close()


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
