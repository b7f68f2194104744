"""Cuts a group into frames: its fresh events by partition, in order, within the frame limits."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow as pa

from ingest_gateway.ingest.event_group import EventGroup, Numbers
from ingest_gateway.ingest.packed_strings import Lengths, PackedStrings, as_column, concat_packed
from schemas.arrays import Mask
from schemas.event import EventFlag
from schemas.frame import COLUMNS, NewFrame, encode
from schemas.hashing import KEY_BYTES, partition_of


class FrameLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a frame may grow. Kafka's default limit for a message is about one million bytes, compressed."""

    events: int = 8_192
    properties_bytes: int = 2_000_000


def frames_of(
    group: EventGroup, fresh: Mask, flagged: Mask, partitions: int, frame_limits: FrameLimits
) -> list[NewFrame]:
    """One frame or more for each partition with fresh events. Does no I/O and may run in any thread."""
    rows = np.flatnonzero(fresh)
    partition = partition_of(group.keys[rows], partitions).astype(np.int64)
    order = np.argsort(partition.astype(np.uint16), kind="stable")  # uint16 is sorted by counting.
    rows, partition = rows[order], partition[order]
    properties = concat_packed([posted.valid.properties for posted in group.requests])
    events = _columns(group, rows, flagged, properties)
    return [
        NewFrame(
            partition=int(partition[start]), arrival=group.arrival, payload=encode(events.slice(start, end - start))
        )
        for start, end in _cuts(partition, properties.lengths[rows], frame_limits)
    ]


def _cuts(partition: Numbers, lengths: Lengths, frame_limits: FrameLimits) -> Iterator[tuple[int, int]]:
    """The start and end of each frame: a new frame for each partition, and where a limit is exceeded."""
    size, place = (
        np.cumsum(lengths, dtype=np.int64) // frame_limits.properties_bytes,
        np.arange(len(lengths)) // frame_limits.events,
    )
    steps = np.flatnonzero(np.diff(partition) | np.diff(size) | np.diff(place)) + 1
    bounds = [0, *steps.tolist(), len(partition)]
    return pairwise(bounds)


def _columns(group: EventGroup, rows: Numbers, flagged: Mask, properties: PackedStrings) -> pa.RecordBatch:
    """The given rows of the group, in the given order, in the layout of frames."""
    valid_events = [posted.valid for posted in group.requests]
    places = pa.array(rows)
    request = pa.array(group.per_row(range(len(valid_events)))[rows])
    digests = np.frombuffer(group.key_digests, f"V{KEY_BYTES}")[rows].tobytes()
    empty = pa.repeat("", len(rows))
    columns = {
        "account": pa.array([posted.account for posted in group.requests]).take(request),
        "event_name": as_column(concat_packed([valid.event_names for valid in valid_events])).take(places),
        "customer_id": as_column(concat_packed([valid.customer_ids for valid in valid_events])).take(places),
        "timestamp": pa.array(group.timestamps[rows]),
        "idempotency_key": as_column(concat_packed([valid.idempotency_keys for valid in valid_events])).take(places),
        "key_hash": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(KEY_BYTES), len(rows), [None, pa.py_buffer(digests)]
        ),
        "body_hash": pa.array(group.bodies[rows]),
        "properties": as_column(properties).take(places),
        "flags": pa.array(np.where(flagged[rows], EventFlag.BACKFILL, 0).astype(np.uint8)),
        "request_id": pa.array([posted.request_id for posted in group.requests]).take(request),
        "replay_of": empty,
        "replay_meter": empty,
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in COLUMNS.names], schema=COLUMNS)
