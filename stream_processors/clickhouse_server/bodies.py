"""Request bodies: received whole, spooled to disk when large, decompressed as they are read."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from stream_processors.clickhouse_server.compression import DECOMPRESSION_ERRORS, DECOMPRESSORS
from stream_processors.clickhouse_server.errors import (
    CANNOT_DECOMPRESS,
    TOO_LARGE,
    UNKNOWN_COMPRESSION,
    clickhouse_error,
)

READ_BYTES = 1 << 20


class BodyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a request body, in bytes."""

    memory: int = 8 << 20
    """A larger body is spooled to a file."""
    stored: int = 1 << 30
    """The largest body as sent."""
    decoded: int = 8 << 30
    """The largest body after decompression."""


async def receive(file: BinaryIO, chunks: AsyncIterator[bytes], limit: int) -> None:
    """Writes the whole body, as sent, to the file. Raises StatementFailed above the limit."""
    async for chunk in chunks:
        if file.tell() + len(chunk) > limit:
            raise clickhouse_error(TOO_LARGE, f"The body is larger than {limit} bytes: send it in parts.")
        file.write(chunk)
    file.seek(0)


def open_body_file(directory: Path, limits: BodyLimits) -> BinaryIO:
    """A file for a body: in memory, or unnamed on disk when large. It ends with the process."""
    return cast("BinaryIO", tempfile.SpooledTemporaryFile(limits.memory, "w+b", dir=str(directory)))


class Body:
    """Reads a body, decompressed: first its statement, then its data."""

    def __init__(self, file: BinaryIO, encoding: str, limits: BodyLimits) -> None:
        if encoding not in DECOMPRESSORS:
            known = ", ".join(filter(None, DECOMPRESSORS))
            raise clickhouse_error(
                UNKNOWN_COMPRESSION, f"Content-Encoding {encoding!r} is not known here; known are {known}."
            )
        self._reader = DECOMPRESSORS[encoding](file)
        self._limits = limits
        self._size = 0

    def read(self, size: int) -> bytes:
        """This many bytes; fewer only at the end."""
        pieces = []
        while size > 0 and (piece := self._piece(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def rest(self) -> Iterator[bytes]:
        while piece := self._piece(READ_BYTES):
            yield piece

    def _piece(self, size: int) -> bytes:
        try:
            piece = self._reader.read(size)
        except DECOMPRESSION_ERRORS as error:
            raise clickhouse_error(
                CANNOT_DECOMPRESS, f"The body is not what its Content-Encoding says: {error}."
            ) from error
        self._size += len(piece)
        if self._size > self._limits.decoded:
            raise clickhouse_error(
                TOO_LARGE, f"The body is larger than {self._limits.decoded} bytes: send it in parts."
            )
        return piece


@contextmanager
def temporary_file(pieces: Iterator[bytes], directory: Path) -> Iterator[str]:
    """The path of a file with these pieces, which is deleted at the end of the context."""
    with tempfile.NamedTemporaryFile(dir=directory, suffix=".data") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        yield file.name


@contextmanager
def open_spool(path: Path) -> Iterator[Path]:
    """The directory of spooled bodies, cleared of the files that a killed process has left."""
    spool = path / "spool"
    spool.mkdir(exist_ok=True, mode=0o700)
    for left in spool.iterdir():
        left.unlink()
    yield spool
