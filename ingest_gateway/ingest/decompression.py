"""Decompresses bodies chunk by chunk, so that a decompression bomb never expands beyond the limit."""

import zlib
from collections.abc import Callable
from typing import Protocol

import zstandard

from schemas.errors import Invalid, TooLarge

_GZIP = 16 + zlib.MAX_WBITS
_GZIP_PIECE = 4096
_ZSTD_PIECE = 256
"""A byte of gzip can expand to a thousand, a byte of zstd to thirty thousand: chunks of this size stay below 8 MB."""
_ZSTD_WINDOW = 8 * 1024 * 1024
"""RFC 9659's limit for HTTP. Without a limit, a frame could demand gigabytes before its first byte."""
_MEMBERS = 1_000


class _Member(Protocol):
    """The decompressor of one gzip member or zstd frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The decompressed body. Raises TooLarge beyond `limit` bytes, and Invalid for a bad or unknown encoding."""
    match encoding.strip().lower():
        case "" | "identity":
            if len(body) > limit:
                raise _too_large(limit)
            return body
        case "gzip" | "x-gzip":
            return _decompressed(body, limit, "gzip", _gzip_member, _GZIP_PIECE)
        case "zstd":
            return _decompressed(body, limit, "zstd", _zstd_frame, _ZSTD_PIECE)
        case unknown:
            raise Invalid(
                f"Content-Encoding {unknown!r} is not supported; send gzip, zstd, or no encoding",
                code="UNSUPPORTED_ENCODING",
            )


def _gzip_member() -> _Member:
    return zlib.decompressobj(_GZIP)


def _zstd_frame() -> _Member:
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()


def _decompressed(body: bytes, limit: int, name: str, new_member: Callable[[], _Member], piece: int) -> bytes:
    """The concatenation of all members: gzip members and zstd frames may follow one another."""
    parts: list[bytes] = []
    size = at = 0
    for _ in range(_MEMBERS):
        member = new_member()
        while not member.eof:
            part, at = _decompress_chunk(member, body, at, piece, name)
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        if at == len(body):
            return b"".join(parts)
    raise Invalid(f"the body has more than {_MEMBERS} {name} members; compress it as one", code="INVALID_ENCODING")


def _decompress_chunk(member: _Member, body: bytes, at: int, piece: int, name: str) -> tuple[bytes, int]:
    """The next decompressed chunk, and the position in the body after it."""
    taken = body[at : at + piece]
    if not taken:
        raise Invalid(f"the {name} body ends in the middle, after {at} bytes", code="INVALID_ENCODING")
    try:
        part = member.decompress(taken)
    except (zlib.error, zstandard.ZstdError) as error:
        raise Invalid(f"the body is not valid {name} near byte {at}: {error}", code="INVALID_ENCODING") from error
    return part, at + len(taken) - len(member.unused_data)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than the limit of {limit} bytes (decompressed); send fewer events per request")
