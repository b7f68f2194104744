"""The event: what a producer posts, its limits, and its verdict."""

from enum import StrEnum

import msgspec

MAX_NAME_LENGTH = 255
MAX_PROPERTIES_BYTES = 16 * 1024
MAX_PROPERTIES_DEPTH = 32
MAX_BATCH_EVENTS = 10_000
MAX_BODY_BYTES = 10 * 1000 * 1000


class EventFlag:
    """Bits of a frame's `flags` column."""

    BACKFILL = 1
    """Accepted past the age limit: its key is looked up among all events, not only in the window."""
    REPLAY = 2
    """A replayed reject: counted by one meter only, and not stored as an event again."""


class Verdict(StrEnum):
    """The gateway's answer on one posted event. It never claims more than the gateway knows."""

    ACCEPTED = "accepted"
    """The event is durable in the log, and its key counts exactly once, repeats within the window included.

    The gateway may not have seen that it is a repeat: a lookup can fail, and a key that first arrived longer ago than
    the window is not looked up here. The processor looks up the key of an event past the age limit among all events.
    """
    DUPLICATE = "duplicate"
    """The key is known to be durable already, with the same body. Where that is not known, the event is `accepted`."""
    CONFLICT = "conflict"
    """The key is known to be durable already, with another body. Where that is not known, the event is `accepted`, and
    the processor keeps it as a reject."""
    INVALID = "invalid"
    """The event breaks a rule and is not stored."""


class RejectCode(StrEnum):
    """Why a posted event, or its value for one meter, is not counted: in replies, the `rejects` table and metrics."""

    CONFLICT = "IDEMPOTENCY_CONFLICT"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    LENGTH = "LENGTH_OUT_OF_RANGE"
    CHARACTERS = "INVALID_CHARACTERS"
    TIMESTAMP_FORMAT = "INVALID_TIMESTAMP"
    TIMESTAMP_OLD = "TIMESTAMP_TOO_OLD"
    TIMESTAMP_AHEAD = "TIMESTAMP_TOO_FAR_AHEAD"
    PROPERTIES_SIZE = "PROPERTIES_TOO_LARGE"
    PROPERTIES_DEPTH = "PROPERTIES_TOO_DEEP"
    NUMBER_RANGE = "NUMBER_OUT_OF_RANGE"
    NOT_A_NUMBER = "NOT_A_NUMBER"
    DUPLICATE_FIELD = "DUPLICATE_FIELD"
    MALFORMED = "MALFORMED_JSON"
    BATCH_REFUSED = "BATCH_REFUSED"
    VALUE_MISSING = "VALUE_MISSING"
    VALUE_NOT_A_NUMBER = "VALUE_NOT_A_NUMBER"
    VALUE_RANGE = "VALUE_OUT_OF_RANGE"


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Why one event of a request was not accepted, as the reply reports it."""

    index: int
    idempotency_key: str | None
    code: RejectCode
    field: str | None
    message: str
