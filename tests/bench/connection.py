"""A minimal HTTP connection, so that the client costs little compared with the server."""

import asyncio
import json
from typing import Any, Self

from tests.bench.figures import TotalsDiffer
from tests.server_process import KEY


class PlainConnection:
    """Sends one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def close(self) -> None:
        self._writer.close()

    async def request(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> bytes:
        """Returns the response's body. Raises TotalsDiffer if its status is another than expected."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"
        self._writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        response = await self._reader.readexactly(int(length.partition(b":")[2]))
        if (status := int(answer.split(b" ", 2)[1])) != expect:
            raise TotalsDiffer(f"{method} {path} was answered {status}: {response.decode(errors='replace')}")
        return response
