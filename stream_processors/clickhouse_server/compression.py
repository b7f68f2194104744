"""Compression and decompression of HTTP bodies."""

import gzip
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, BinaryIO, cast

import lz4.frame
import zstandard

DECOMPRESSORS: Mapping[str, Callable[[BinaryIO], IO[bytes]]] = MappingProxyType(
    {
        "": lambda file: file,
        "identity": lambda file: file,
        "gzip": lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb")),
        "lz4": lambda file: cast("IO[bytes]", lz4.frame.LZ4FrameFile(file)),
        "zstd": lambda file: cast(
            "IO[bytes]", zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
        ),
    }
)
"""By Content-Encoding. A body may consist of several frames: clients compress block by block."""

DECOMPRESSION_ERRORS = (EOFError, OSError, RuntimeError, zlib.error, zstandard.ZstdError)
"""What readers raise for a body that does not match its Content-Encoding."""

COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {
        "lz4": lambda body: cast("bytes", lz4.frame.compress(body)),
        "zstd": lambda body: zstandard.ZstdCompressor(level=1).compress(body),
        "gzip": lambda body: gzip.compress(body, compresslevel=3),
    }
)
"""By Content-Encoding, the fastest first."""
