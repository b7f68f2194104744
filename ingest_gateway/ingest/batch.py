"""One request's events as columns, and the outcome of that batch."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from ingest_gateway.ingest.packed_strings import PackedStrings
from schemas.event import RejectCode, Rejection, Verdict
from schemas.hashing import KEY_BYTES
from schemas.ids import AccountId, base36

NO_TIME = -1
"""A CloudEvent without `time` happens at its arrival. No event happens before 1970, so no real timestamp is -1."""


class BodyFormat(StrEnum):
    """The form in which the events were posted; the reply follows it."""

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


class ValidEvents(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Checked and hashed events as parallel columns. A `bytes` column is one buffer for all events."""

    indexes: Sequence[int]
    """The index of each event in the request."""
    event_names: PackedStrings
    customer_ids: PackedStrings
    timestamps: bytes
    """Microseconds as int64, or `NO_TIME`."""
    idempotency_keys: PackedStrings
    properties: PackedStrings
    """JSON texts, byte for byte as posted."""
    key_hashes: bytes
    """16 bytes each."""
    body_hashes: bytes
    """uint64 each, in this machine's byte order."""

    def __len__(self) -> int:
        return len(self.idempotency_keys)


class PostedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One request's events, parsed and checked."""

    body_format: BodyFormat
    account: AccountId
    request_id: str
    strict: bool
    """All or nothing: one rejected event, and no event is stored."""
    backfill: bool
    """The key may post events older than the age limit."""
    valid: ValidEvents
    rejections: tuple[Rejection, ...]
    """Events that broke a rule, by index."""
    size: int
    """Bytes of the body."""

    @property
    def events(self) -> int:
        """The number of posted events."""
        return len(self.valid) + len(self.rejections)


_ID_DIGITS = 24


class BatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on one request. Every posted event is in exactly one of the four fields."""

    accepted: int
    duplicates: int
    rejections: tuple[Rejection, ...]
    """Invalid events and conflicts, by index."""
    held_back: int = 0
    """Valid events of a strict request with a rejection: none of them is stored."""

    @property
    def is_refused(self) -> bool:
        """True if no event was accepted or a duplicate: the reply is an error that lists the reasons."""
        return not (self.accepted or self.duplicates)

    @property
    def verdict(self) -> Verdict:
        """The verdict of a request with one event."""
        if self.accepted:
            return Verdict.ACCEPTED
        if self.duplicates:
            return Verdict.DUPLICATE
        return Verdict.CONFLICT if self.rejections[0].code is RejectCode.CONFLICT else Verdict.INVALID


def usage_id(posted: PostedBatch) -> str:
    """The usage id of a single event: a function of its key, so that a retry gets the same one."""
    number = int.from_bytes(posted.valid.key_hashes[:KEY_BYTES], "big")
    return "c" + base36(number % 36**_ID_DIGITS, _ID_DIGITS)
