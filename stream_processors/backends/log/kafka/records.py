"""Encodes a frame as a Kafka record, decodes it again, and recognizes records that are not frames of their partition.

What a record is depends on the record alone, so every worker decides alike, and a redo of a flush as its first attempt.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
import pyarrow as pa

from schemas.errors import Alarm
from schemas.foreign_record import KEPT_BYTES, ForeignRecord, RecordFault
from schemas.frame import Frame, NewFrame, decode, raw_size
from schemas.hashing import KEY_BYTES, as_halves, body_digest, partition_of
from schemas.timestamps import FIRST_YEAR, LAST_YEAR, to_micros

ARRIVAL = "arrival"
"""The header with the arrival in microseconds; a record's own timestamp has only milliseconds."""

STAMP = "stamp"
"""The header with a version, the frame's partition, and a checksum over arrival, partition and payload. Gateways of
earlier releases wrote none; their payloads are decoded to check them."""

_ARRIVAL_BYTES = 8
_STAMP_VERSION = 1
_PARTITION_BYTES, _CHECKSUM_BYTES = 4, 8
_STAMP_BYTES = 1 + _PARTITION_BYTES + _CHECKSUM_BYTES
_EARLIEST = to_micros(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
_LATEST = to_micros(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))
_LARGEST_RAW_BYTES = 1_000_000_000


class RecordFields(msgspec.Struct, frozen=True):
    """A record as a client of Kafka delivers it."""

    partition: int
    offset: int
    headers: Iterable[tuple[str, bytes]]
    payload: bytes | None
    timestamp_ms: int


def headers_of(frame: NewFrame) -> list[tuple[str, bytes]]:
    arrival = frame.arrival.to_bytes(_ARRIVAL_BYTES, "big")
    partition = frame.partition.to_bytes(_PARTITION_BYTES, "big")
    checksum = _checksum(arrival, partition, frame.payload)
    return [(ARRIVAL, arrival), (STAMP, bytes([_STAMP_VERSION]) + partition + checksum)]


def timestamp_of(arrival: int) -> int:
    """The record's timestamp in milliseconds: the arrival, because retention goes by it, never an event's timestamp."""
    return arrival // 1000


def read_record(record: RecordFields, partitions: int) -> Frame | ForeignRecord:
    """The frame, or what the record is instead. A pure function of the record and the number of partitions."""
    headers = dict(record.headers)
    fault = _fault(record, headers, partitions)
    payload = record.payload or b""
    if fault is None:
        arrival = int.from_bytes(headers[ARRIVAL], "big")
        return Frame(partition=record.partition, offset=record.offset, arrival=arrival, payload=payload)
    return ForeignRecord(
        partition=record.partition,
        offset=record.offset,
        fault=fault,
        size=len(payload),
        payload=payload[:KEPT_BYTES],
        appended_at=record.timestamp_ms * 1000,
    )


def describe_payload(record: ForeignRecord) -> str:
    """How many events of which accounts the payload would hold if a gateway had written it."""
    if record.size > len(record.payload) or raw_size(record.payload) > _LARGEST_RAW_BYTES:
        return "too large to be shown"
    try:
        events = decode(record.payload)
        events.validate(full=True)
    except (Alarm, pa.ArrowException):
        return "it cannot be read"
    accounts = sorted(set(events.column("account").to_pylist()))
    return f"{events.num_rows} events of {', '.join(map(str, accounts[:5])) or 'no account'}"


def keys_are_at_home(key_hashes: bytes, partition: int, partitions: int) -> bool:
    """True if every one of the joined 16-byte key hashes belongs to this partition."""
    return bool((partition_of(as_halves(key_hashes), partitions) == partition).all())


def _fault(record: RecordFields, headers: Mapping[str, bytes], partitions: int) -> RecordFault | None:
    arrival, stamp = headers.get(ARRIVAL), headers.get(STAMP)
    if arrival is None and stamp is None:
        return RecordFault.NO_HEADER
    if arrival is None or len(arrival) != _ARRIVAL_BYTES or record.payload is None:
        return RecordFault.HEADER
    if stamp is None:
        return _fault_without_stamp(record.partition, record.payload, int.from_bytes(arrival, "big"), partitions)
    return _fault_of_stamp(record.partition, record.payload, arrival, stamp)


def _fault_of_stamp(own_partition: int, payload: bytes, arrival: bytes, stamp: bytes) -> RecordFault | None:
    if stamp[:1] != bytes([_STAMP_VERSION]):
        return RecordFault.VERSION
    partition, checksum = stamp[1 : 1 + _PARTITION_BYTES], stamp[1 + _PARTITION_BYTES :]
    if len(stamp) != _STAMP_BYTES or checksum != _checksum(arrival, partition, payload):
        return RecordFault.CHECKSUM
    if int.from_bytes(partition, "big") != own_partition:
        return RecordFault.PARTITION
    return None if int.from_bytes(arrival, "big") < _LATEST else RecordFault.ARRIVAL


def _fault_without_stamp(own_partition: int, payload: bytes, arrival: int, partitions: int) -> RecordFault | None:
    if not _EARLIEST <= arrival < _LATEST:
        return RecordFault.ARRIVAL
    if raw_size(payload) > _LARGEST_RAW_BYTES:
        return RecordFault.CONTENT
    try:
        events = decode(payload)
        events.validate(full=True)
    except (Alarm, pa.ArrowException):
        return RecordFault.CONTENT
    return None if keys_are_at_home(_key_hashes(events), own_partition, partitions) else RecordFault.PARTITION


def _key_hashes(events: pa.RecordBatch) -> bytes:
    keys = events.column("key_hash")
    begin = keys.offset * KEY_BYTES
    return bytes(memoryview(keys.buffers()[1])[begin : begin + len(keys) * KEY_BYTES]) if len(keys) else b""


def _checksum(arrival: bytes, partition: bytes, payload: bytes) -> bytes:
    return body_digest(arrival + partition + payload).to_bytes(_CHECKSUM_BYTES, "big")
