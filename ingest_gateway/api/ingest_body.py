"""Decompresses and parses bodies of events, and keeps large ones from holding up other requests."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ingest_gateway.http.memory_budget import MemoryShare
from ingest_gateway.http.request import Request
from ingest_gateway.ingest.batch import PostedBatch
from ingest_gateway.ingest.cooperative import Serialized, run_at_once
from ingest_gateway.ingest.decompression import decompress
from ingest_gateway.ingest.json_structure import count
from ingest_gateway.ingest.parse import parse_body
from schemas.account import Scope

_LARGE_BYTES = 1_000_000
_MANY_OBJECTS = 2_500
"""An event that is invalid in its own way costs up to 60 µs, so the event loop parses no more of them at once."""
_SMALL_BYTES = _MANY_OBJECTS * len(b"{}")
_BULK_BYTES = 5_000
"""A thousand events take 2 ms. Larger bodies are parsed one at a time, in slices, so that another request waits for one
slice, not for all bodies. A thread for each body costs a fifth of the rate.
"""
_COMPRESSED_BYTES = 4_000
"""A byte of gzip can become a thousand."""
_THREADS = 2
"""Bodies parsed in threads at the same time; the intake needs the other threads for its frames."""

_Result = TypeVar("_Result")


class BodyParser:
    """From a request to its events, at most `body_bytes` of them. Used from one event loop only."""

    def __init__(self, body_bytes: int) -> None:
        self._body_bytes = body_bytes
        self._threads = asyncio.Semaphore(_THREADS)
        self._serialized = Serialized()

    async def parse(self, request: Request, share: MemoryShare, *, strict: bool) -> PostedBatch:
        """Parses a small body at once, a large one in slices, one that may take long in a thread.

        Raises Refused for a body that cannot be read, and Overloaded for one that does not fit in the memory budget.
        """
        body = await self._decompress(request, share)
        parsing = parse_body(
            body,
            request.headers.get(b"content-type", b"").decode("latin-1"),
            account=request.account,
            request_id=request.request_id,
            strict=strict,
            backfill=request.key.allows(Scope.BACKFILL),
        )
        if takes_long(body):
            return await self._in_thread(lambda: run_at_once(parsing))
        return run_at_once(parsing) if len(body) <= _BULK_BYTES else await self._serialized.run(parsing)

    async def _decompress(self, request: Request, share: MemoryShare) -> bytes:
        body = await request.read(share, self._body_bytes)
        encoding = request.headers.get(b"content-encoding")
        if encoding is None:
            return body

        def decompressed() -> bytes:
            return decompress(body, encoding.decode("latin-1"), self._body_bytes)

        plain = await self._in_thread(decompressed) if len(body) > _COMPRESSED_BYTES else decompressed()
        share.grow(len(plain))
        return plain

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        async with self._threads:
            return await asyncio.get_running_loop().run_in_executor(None, work)


def takes_long(body: bytes) -> bool:
    """True if parsing the body could hold up other requests."""
    size = len(body)
    return size > _LARGE_BYTES or (size > _SMALL_BYTES and count(body, "{") > _MANY_OBJECTS)
