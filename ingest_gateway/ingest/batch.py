"""What one request brought, once it is read and checked: columns of good events, and the bad news of the others."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from ingest_gateway.ingest.packed_strings import PackedStrings
from schemas.event import Rejection
from schemas.ids import AccountId

NO_TIME = -1
"""A CloudEvent without `time`: it happens when it arrives. No event happens before 1970, so nothing else is -1."""


class BodyFormat(StrEnum):
    """How the events were posted; the reply has the same shape."""

    BATCH = "batch"
    SINGLE = "single"
    NDJSON = "ndjson"
    CLOUDEVENT = "cloudevent"
    CLOUDEVENTS = "cloudevents"

    @property
    def is_single(self) -> bool:
        return self in (BodyFormat.SINGLE, BodyFormat.CLOUDEVENT)

    @property
    def is_cloudevent(self) -> bool:
        return self in (BodyFormat.CLOUDEVENT, BodyFormat.CLOUDEVENTS)


class GoodEvents(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Checked and hashed events as parallel columns. What is `bytes` is joined: one buffer, many events."""

    indexes: Sequence[int]
    """Each event's place in the request."""
    event_names: PackedStrings
    customer_ids: PackedStrings
    timestamps: bytes
    """Microseconds as int64, or `NO_TIME`."""
    idempotency_keys: PackedStrings
    properties: PackedStrings
    """The JSON texts exactly as posted."""
    key_hashes: bytes
    """16 bytes each."""
    body_hashes: bytes
    """uint64 each, in this machine's byte order."""

    def __len__(self) -> int:
        return len(self.idempotency_keys)


class PostedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One request's events, ready to be taken in."""

    body_format: BodyFormat
    account: AccountId
    request_id: str
    strict: bool
    """All or nothing: one bad event, and none is stored."""
    backfill: bool
    """The caller may post events older than the age limit."""
    good: GoodEvents
    rejections: tuple[Rejection, ...]
    """Events that broke a rule, by index."""
    size: int
    """Bytes of the body: what this request weighs while it waits."""

    @property
    def events(self) -> int:
        """How many were posted."""
        return len(self.good) + len(self.rejections)
