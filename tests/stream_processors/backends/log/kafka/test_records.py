"""What a record in the topic is follows from the record alone."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.foreign_record import KEPT_BYTES, ForeignRecord, RecordFault
from schemas.frame import COLUMNS, Frame, NewFrame, encode
from schemas.hashing import as_halves, partition_of
from schemas.timestamps import DAY
from stream_processors.backends.log.kafka.records import (
    ARRIVAL,
    STAMP,
    RecordFields,
    describe_payload,
    headers_of,
    keys_are_at_home,
    read_record,
    timestamp_of,
)
from tests.factories import NOW, make_batch, make_event

PARTITIONS = 4
OFFSET = 17


def frame_of(events: int = 3, partition: int | None = None) -> NewFrame:
    """A frame of the partition of its first key, whose other keys belong there too."""
    found: list[pa.RecordBatch] = []
    number = 0
    while sum(batch.num_rows for batch in found) < events:
        batch = make_batch([make_event(f"key {number}")])
        number += 1
        own = int(partition_of(as_halves(batch.column("key_hash")[0].as_py()), PARTITIONS)[0])
        partition = own if partition is None else partition
        if own == partition:
            found.append(batch)
    merged = pa.Table.from_batches(found, COLUMNS).combine_chunks().to_batches()[0]
    assert partition is not None
    return NewFrame(partition=partition, arrival=NOW, payload=encode(merged))


def record_of(frame: NewFrame, **changes: object) -> RecordFields:
    fields = {
        "partition": frame.partition,
        "offset": OFFSET,
        "headers": headers_of(frame),
        "payload": frame.payload,
        "timestamp_ms": timestamp_of(frame.arrival),
    } | changes
    return RecordFields(**fields)  # type: ignore[arg-type] # a mapping of fields


def fault_of(record: RecordFields) -> RecordFault | None:
    found = read_record(record, PARTITIONS)
    return found.fault if isinstance(found, ForeignRecord) else None


def unstamped(frame: NewFrame) -> list[tuple[str, bytes]]:
    """The headers of a gateway of an earlier release."""
    return [header for header in headers_of(frame) if header[0] == ARRIVAL]


@given(payload=st.binary(max_size=100), arrival=st.integers(0, NOW), partition=st.integers(0, 1023))
def test_a_frame_is_read_back(payload: bytes, arrival: int, partition: int) -> None:
    frame = NewFrame(partition=partition, arrival=arrival, payload=payload)
    read = Frame(partition=partition, offset=OFFSET, arrival=arrival, payload=payload)
    assert read_record(record_of(frame), 1024) == read


def test_a_frame_of_an_earlier_release_is_read() -> None:
    frame = frame_of()
    assert fault_of(record_of(frame, headers=unstamped(frame))) is None
    empty = NewFrame(partition=0, arrival=NOW, payload=encode(make_batch([])))
    assert fault_of(record_of(empty, headers=unstamped(empty))) is None


@pytest.mark.parametrize("headers", [[], [("other", b"x")], [("Arrival", b"12345678")]])
def test_a_record_without_our_headers_holds_no_events(headers: list[tuple[str, bytes]]) -> None:
    """Whatever its payload; of a large one the beginning is kept."""
    record = RecordFields(2, OFFSET, headers, b"x" * 100_000, 5)
    found = read_record(record, PARTITIONS)
    assert isinstance(found, ForeignRecord)
    assert (found.fault, found.may_hold_events, found.size) == (RecordFault.NO_HEADER, False, 100_000)
    assert (len(found.payload), found.appended_at) == (KEPT_BYTES, 5_000)
    assert fault_of(RecordFields(2, OFFSET, headers, None, -1)) is RecordFault.NO_HEADER


def test_a_record_with_our_headers_may_hold_events_and_is_checked() -> None:
    """Each part of it: both headers, the version, the checksum over everything, the partition, and the arrival."""
    frame = frame_of()
    arrival, stamp = headers_of(frame)
    copied = record_of(frame, partition=(frame.partition + 1) % PARTITIONS)
    late = NewFrame(partition=0, arrival=NOW + 80_000 * DAY, payload=frame.payload)
    faults = {
        fault_of(record_of(frame, payload=None)): RecordFault.HEADER,
        fault_of(record_of(frame, headers=[stamp])): RecordFault.HEADER,
        fault_of(record_of(frame, headers=[(ARRIVAL, b"123"), stamp])): RecordFault.HEADER,
        fault_of(record_of(frame, headers=[arrival, (STAMP, b"\x02" + stamp[1][1:])])): RecordFault.VERSION,
        fault_of(record_of(frame, payload=frame.payload[:-1])): RecordFault.CHECKSUM,
        fault_of(record_of(frame, headers=[(ARRIVAL, bytes(8)), stamp])): RecordFault.CHECKSUM,
        fault_of(record_of(frame, headers=[arrival, (STAMP, stamp[1][:-1])])): RecordFault.CHECKSUM,
        fault_of(copied): RecordFault.PARTITION,
        fault_of(record_of(late)): RecordFault.ARRIVAL,
    }
    assert list(faults) == list(dict.fromkeys(faults.values()))
    found = read_record(copied, PARTITIONS)
    assert isinstance(found, ForeignRecord)
    assert found.may_hold_events
    assert describe_payload(found).startswith("3 events of ")


@pytest.mark.parametrize("arrival", [0, 1, 946_684_800_000_000 - 1, NOW + 80_000 * DAY, 2**64 - 1])
def test_an_absurd_arrival_without_a_stamp_is_no_frame(arrival: int) -> None:
    frame = frame_of()
    headers = [(ARRIVAL, arrival.to_bytes(8, "big"))]
    assert fault_of(record_of(frame, headers=headers)) is RecordFault.ARRIVAL


@given(payload=st.binary(max_size=200))
def test_any_payload_without_a_stamp_is_judged(payload: bytes) -> None:
    """Bytes that are no frame, with our header, are recognized where they are read."""
    frame = NewFrame(partition=0, arrival=NOW, payload=payload)
    for content in (payload, b"\x01" + payload, encode(make_batch([]))[:-3] + payload):
        assert fault_of(record_of(frame, headers=unstamped(frame), payload=content)) is RecordFault.CONTENT


def test_a_copied_frame_without_a_stamp_is_recognized_by_its_keys() -> None:
    """One key that belongs elsewhere is enough."""
    frame = frame_of()
    other = (frame.partition + 1) % PARTITIONS
    assert fault_of(record_of(frame, headers=unstamped(frame), partition=other)) is RecordFault.PARTITION


@given(keys=st.lists(st.binary(min_size=16, max_size=16), max_size=20), partition=st.integers(0, PARTITIONS - 1))
def test_keys_are_at_home_if_every_one_hashes_there(keys: list[bytes], partition: int) -> None:
    expected = all(int.from_bytes(key[8:], "big") % PARTITIONS == partition for key in keys)
    assert keys_are_at_home(b"".join(keys), partition, PARTITIONS) == expected
