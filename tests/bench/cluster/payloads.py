"""Frames as a gateway builds them, from the events of `tallyhouse load`."""

import time
from collections.abc import Iterator

import msgspec
import pyarrow as pa

from schemas.frame import COLUMNS, encode
from schemas.hashing import body_digest, key_hash
from tallyhouse.load.workload import Workload, WorkloadShape
from tests.factories import ACCOUNT

_EVENTS_PER_CHUNK = 10_000
_SINGLE = {"account": ACCOUNT, "flags": 0, "request_id": "req_bench", "replay_of": "", "replay_meter": ""}


class BenchEvent(msgspec.Struct, gc=False):
    """An event of the load, with its properties undecoded."""

    event_name: str
    customer_id: str
    idempotency_key: str
    properties: msgspec.Raw


class _Body(msgspec.Struct):
    events: list[BenchEvent]


_decode = msgspec.json.Decoder(_Body).decode


def batches(events: int, size: int, run: str = "frames00") -> Iterator[pa.RecordBatch]:
    """Yields batches of `size` events, each event with a key of its own."""
    workload = Workload(WorkloadShape(duplicates=0), run)
    chunk = max(size, _EVENTS_PER_CHUNK // size * size)
    for start in range(0, events, chunk):
        now = time.time_ns() // 1000
        rows = columns(_decode(workload.batch(min(chunk, events - start), now).body()).events, now)
        yield from (rows.slice(at, size) for at in range(0, len(rows), size))


def payloads(events: int, size: int) -> Iterator[bytes]:
    """Yields the payloads of such frames."""
    return map(encode, batches(events, size))


def columns(posted: list[BenchEvent], timestamp: int) -> pa.RecordBatch:
    """Returns the events in a frame's columns. The body hash covers only the properties."""
    values = {
        "event_name": [event.event_name for event in posted],
        "customer_id": [event.customer_id for event in posted],
        "timestamp": [timestamp] * len(posted),
        "idempotency_key": [event.idempotency_key for event in posted],
        "key_hash": [key_hash(ACCOUNT, event.idempotency_key) for event in posted],
        "body_hash": [body_digest(bytes(event.properties)) for event in posted],
        "properties": [bytes(event.properties).decode() for event in posted],
    }
    values |= {name: [value] * len(posted) for name, value in _SINGLE.items()}
    return pa.RecordBatch.from_arrays([pa.array(values[field.name], field.type) for field in COLUMNS], schema=COLUMNS)
