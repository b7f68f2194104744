"""Compressed bodies are restored byte for byte; decompression bombs and damaged bodies are refused."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.ingest.decompression import decompress
from schemas.errors import Invalid, TooLarge

LIMIT = 100_000


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_members_are_joined(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """A body of several members is their concatenation; the case of the encoding's name does not matter."""
    body = compress(b"one") + compress(b"") + compress(b"two" * 1000)
    assert decompress(body, encoding.upper(), LIMIT) == b"one" + b"two" * 1000


@given(data=st.binary(max_size=20_000))
def test_a_round_trip_changes_nothing(data: bytes) -> None:
    assert decompress(gzip.compress(data, 1), "gzip", LIMIT) == data
    assert decompress(zstd(data), "zstd", LIMIT) == data
    assert decompress(data, "identity", LIMIT) == data


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_stopped_at_the_limit(encoding: str) -> None:
    """A body that expands to a gigabyte is refused with the limit, without being held in memory."""
    zeros = b"\0" * 50_000_000
    bomb = (gzip.compress(zeros) if encoding == "gzip" else zstd(zeros)) * 20
    tracemalloc.start()
    with pytest.raises(TooLarge, match=str(LIMIT)):
        decompress(bomb, encoding, LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_truncated_body_is_refused(encoding: str) -> None:
    """At whatever byte it is cut."""
    body = (gzip.compress if encoding == "gzip" else zstd)(b"x" * 999)
    for end in range(len(body)):
        with pytest.raises(Invalid):
            decompress(body[:end], encoding, LIMIT)


@given(body=st.binary(min_size=1, max_size=200), encoding=st.sampled_from(["gzip", "zstd"]))
def test_bytes_of_another_format_are_refused(body: bytes, encoding: str) -> None:
    """Nothing but Invalid is raised."""
    with pytest.raises(Invalid, match=encoding):
        decompress(zlib.compress(body) + body, encoding, LIMIT)


def test_thousands_of_members_are_refused() -> None:
    """Tiny members cost more to decompress than they can hold."""
    with pytest.raises(Invalid, match="members"):
        decompress(gzip.compress(b"") * 5_000, "gzip", LIMIT)


def test_a_plain_body_over_the_limit_is_too_large() -> None:
    """The limit holds without compression too."""
    with pytest.raises(TooLarge):
        decompress(b"x" * (LIMIT + 1), "", LIMIT)


def test_an_unknown_encoding_is_named() -> None:
    """The message lists the supported encodings."""
    with pytest.raises(Invalid, match="'br' is not supported; send gzip, zstd") as caught:
        decompress(b"x", "br", LIMIT)
    assert caught.value.code == "UNSUPPORTED_ENCODING"
