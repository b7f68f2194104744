"""A frame: a run of events for one partition, as one log record.

Columns, not rows: the processor reads what the gateway has hashed and validated without touching a single event
in Python. The payload is one format byte and a zstd-compressed Arrow record batch whose schema is `COLUMNS`.
"""

import threading

import msgspec
import pyarrow as pa
import zstandard

from schemas.errors import Alarm
from schemas.hashing import KEY_BYTES

FORMAT = 1
_COMPRESSION_LEVEL = -3

COLUMNS = pa.schema(
    [
        ("account", pa.string()),
        ("event_name", pa.string()),
        ("customer_id", pa.string()),
        ("timestamp", pa.int64()),
        ("idempotency_key", pa.string()),
        ("key_hash", pa.binary(KEY_BYTES)),
        ("body_hash", pa.uint64()),
        ("properties", pa.string()),
        ("flags", pa.uint8()),
        ("request_id", pa.string()),
        # Of a replayed reject: its id, and the one meter that counts it. Empty otherwise.
        ("replay_of", pa.string()),
        ("replay_meter", pa.string()),
    ]
)


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A log record: its offset, its arrival (never the time of its events), and its events."""

    partition: int
    offset: int
    arrival: int
    payload: bytes


class NewFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame without an offset, which the log assigns."""

    partition: int
    arrival: int
    payload: bytes


# A zstd context must not be shared by two threads at once.
_local = threading.local()


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
    compressor: zstandard.ZstdCompressor = _local.compressor
    return compressor


def encode(events: pa.RecordBatch) -> bytes:
    """The payload for `events`, whose schema must be `COLUMNS`."""
    return bytes([FORMAT]) + _compressor().compress(events.serialize())


def raw_size(payload: bytes) -> int:
    """How many bytes a payload decodes to, from its header; its own size if the header does not state it."""
    try:
        return max(zstandard.frame_content_size(memoryview(payload)[1:]), len(payload))
    except zstandard.ZstdError:
        return len(payload)


def decode(payload: bytes) -> pa.RecordBatch:
    """The events of a payload. Raises Alarm if it is unreadable: an accepted event must never be skipped."""
    if not payload or payload[0] != FORMAT:
        found = payload[:1].hex() or "nothing"
        raise Alarm(f"a frame begins with {found}, expected format {FORMAT:02x}: written by another version?")
    try:
        body = zstandard.ZstdDecompressor().decompress(payload[1:])
        return pa.ipc.read_record_batch(pa.py_buffer(body), COLUMNS)
    except (zstandard.ZstdError, pa.ArrowInvalid, OSError) as error:
        raise Alarm(f"a frame of {len(payload)} bytes cannot be read ({error}): is the log damaged?") from error
