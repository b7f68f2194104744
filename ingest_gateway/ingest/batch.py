"""One request's events as columns, and the outcome of that batch."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from ingest_gateway.ingest.packed_strings import PackedStrings
from schemas.event import RejectCode, Rejection, Verdict
from schemas.hashing import KEY_BYTES
from schemas.ids import AccountId, base36

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


_ID_DIGITS = 24


class BatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Every posted event is in exactly one of the four: accepted, duplicates, rejections, held_back."""

    accepted: int
    duplicates: int
    rejections: tuple[Rejection, ...]
    """Invalid events and conflicts, by index."""
    held_back: int = 0
    """Good events of a strict request that had bad ones: nothing of it is stored."""

    @property
    def is_refused(self) -> bool:
        """No event was accepted or known before: the reply is a refusal that lists why."""
        return not (self.accepted or self.duplicates)

    @property
    def verdict(self) -> Verdict:
        """Of a request with one event: what became of it."""
        if self.accepted:
            return Verdict.ACCEPTED
        if self.duplicates:
            return Verdict.DUPLICATE
        return Verdict.CONFLICT if self.rejections[0].code is RejectCode.CONFLICT else Verdict.INVALID


def usage_id(posted: PostedBatch) -> str:
    """The id of a single event's usage: made from its key alone, so that a retry is told the same one."""
    number = int.from_bytes(posted.good.key_hashes[:KEY_BYTES], "big")
    return "c" + base36(number % 36**_ID_DIGITS, _ID_DIGITS)
