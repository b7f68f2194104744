"""Encodes a frame as a Kafka record and decodes it again."""

from collections.abc import Iterable

from schemas.errors import Alarm
from schemas.frame import Frame

ARRIVAL = "arrival"
"""The header with the arrival in microseconds; a record's own timestamp has only milliseconds."""

_BYTES = 8


def headers_of(arrival: int) -> list[tuple[str, bytes]]:
    return [(ARRIVAL, arrival.to_bytes(_BYTES, "big"))]


def timestamp_of(arrival: int) -> int:
    """The record's timestamp in milliseconds: the arrival, because retention goes by it, never an event's timestamp."""
    return arrival // 1000


def frame_of(partition: int, offset: int, headers: Iterable[tuple[str, bytes]], payload: bytes | None) -> Frame:
    """Decodes a record. Raises Alarm for a record without a frame: an accepted event must never be skipped."""
    arrival = next((value for name, value in headers if name == ARRIVAL), None)
    if payload is None or arrival is None or len(arrival) != _BYTES:
        raise Alarm(
            f"partition {partition}, offset {offset}: the record has no payload or no {ARRIVAL!r} header of {_BYTES} "
            "bytes, so the gateway did not write it. Find out who writes to this topic."
        )
    return Frame(partition=partition, offset=offset, arrival=int.from_bytes(arrival, "big"), payload=payload)
