"""Reads a request's body piece by piece, within a size, a time and a share of memory."""

import asyncio

from starlette.types import Message, Receive

from ingest_gateway.http.errors import ClientDisconnected, Headers
from ingest_gateway.http.memory_budget import MemoryShare
from schemas.errors import Overloaded, RequestTimeout, TooLarge


async def read_body(
    receive: Receive,
    header: dict[bytes, bytes],
    reply_headers: Headers,
    share: MemoryShare,
    *,
    limit: int,
    seconds: float,
) -> bytes:
    """The body as sent.

    Raises TooLarge beyond `limit` bytes, RequestTimeout after `seconds`, Overloaded, ClientDisconnected.
    A refused body is not read to its end; the connection closes after the response, because the server would otherwise
    have to read the rest.
    """
    try:
        _check_announced(header, limit)
        async with asyncio.timeout(seconds):
            message = await receive()
            if not message.get("more_body", False):
                return _whole(message, share, limit)
            return await _read_on(receive, message, share, limit)
    except TimeoutError:
        reply_headers.append((b"connection", b"close"))
        raise RequestTimeout(f"the body did not arrive within {seconds:g} seconds; send it again") from None
    except (TooLarge, Overloaded):
        reply_headers.append((b"connection", b"close"))
        raise


def _check_announced(header: dict[bytes, bytes], limit: int) -> None:
    announced = header.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)


def _piece(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnected
    piece: bytes = message.get("body", b"")
    return piece


def _whole(message: Message, share: MemoryShare, limit: int) -> bytes:
    body = _piece(message)
    if len(body) > limit:
        raise _too_large(limit)
    share.grow(len(body))
    return body


async def _read_on(receive: Receive, message: Message, share: MemoryShare, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        piece = _piece(message)
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        share.grow(len(piece))
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than the limit of {limit} bytes; send less per request")
