"""A record in the log that is no frame of a gateway: written by another program, damaged, or copied."""

from enum import StrEnum

import msgspec


class RecordFault(StrEnum):
    """Why a record is not a frame of its partition."""

    NO_HEADER = "no_header"
    """No gateway wrote it."""
    HEADER = "header"
    VERSION = "version"
    ARRIVAL = "arrival"
    CHECKSUM = "checksum"
    PARTITION = "partition"
    CONTENT = "content"


_MEANING = {
    RecordFault.NO_HEADER: "has no header of a gateway, so another program wrote it",
    RecordFault.HEADER: "has headers of a gateway that are incomplete, or no payload",
    RecordFault.VERSION: "was written by a version of Tallyhouse that this one cannot read",
    RecordFault.ARRIVAL: "has an arrival outside of the years 2000 to 2199",
    RecordFault.CHECKSUM: "does not match its checksum: its payload or its headers were altered",
    RecordFault.PARTITION: "belongs to another partition, so it is a copy, or it was written to the wrong place",
    RecordFault.CONTENT: "has the headers of a gateway and a payload that cannot be read",
}

KEPT_BYTES = 65_536
"""The bytes of a record's payload that are kept with its report; the log holds the whole until its retention."""


class ForeignRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is not counted."""

    partition: int
    offset: int
    fault: RecordFault
    size: int
    """Bytes of the payload."""
    payload: bytes
    """The first `KEPT_BYTES` of it."""
    appended_at: int
    """The record's own timestamp in microseconds, which may be anything."""

    @property
    def may_hold_events(self) -> bool:
        """True if a gateway may have written it: only an operator can decide that no accepted event is lost with it."""
        return self.fault is not RecordFault.NO_HEADER

    def __str__(self) -> str:
        return (
            f"partition {self.partition}, offset {self.offset}: the record of {self.size} bytes {_MEANING[self.fault]}"
        )
