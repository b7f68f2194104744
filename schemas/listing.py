"""Queries and results for listing raw events and rejects, and for replaying rejects."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from schemas.ids import AccountId


class EventPlace(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where an event is stored: partition, flush number, frame offset, place in the frame."""

    partition: int
    number: int
    offset: int
    place: int


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A listing of raw events, newest arrival first."""

    account: AccountId
    idempotency_key: str | None = None
    event_name: str | None = None
    customer_id: str | None = None
    start: int | None = None
    end: int | None = None
    limit: int = 50
    cursor: str | None = None


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event. `properties` is the JSON text exactly as posted."""

    account: AccountId
    event_name: str
    idempotency_key: str
    customer_id: str
    timestamp: int
    properties: str
    arrival: int
    request_id: str
    backfill: bool
    place: EventPlace


class Share(StrEnum):
    """Whether one meter counts one event."""

    COUNTED = "counted"
    REJECTED = "rejected"
    FILTERED = "filtered"
    """The meter's filters exclude it."""
    PENDING = "pending"
    """The meter is younger than the event, and its backfill has not reached the event."""


class MeterCount(msgspec.Struct, frozen=True, kw_only=True):
    """How one meter counted one event."""

    meter: str
    share: Share
    value: Decimal | None = None
    """What the event adds: 1 for `count`; null for `unique`, for which only new values matter."""
    group: dict[str, str | None] = {}
    code: str | None = None
    message: str | None = None
    """The reason, for a rejected event."""


class RejectQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A listing of rejects, newest arrival first."""

    account: AccountId
    code: str | None = None
    meter: str | None = None
    ids: tuple[str, ...] = ()
    open_only: bool = False
    """Leave out replayed rejects (a replay that fails adds a new reject)."""
    limit: int = 50
    cursor: str | None = None


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted event that could not be counted, or not by one meter: the whole event with the reason."""

    id: str
    account: AccountId
    meter: str | None
    """None if the whole event is rejected, and not its value for one meter."""
    code: str
    message: str
    event_name: str
    idempotency_key: str
    customer_id: str
    timestamp: int
    properties: str
    arrival: int
    request_id: str
    replay_of: str | None
    replayed: bool


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A reject that was not replayed, and why."""

    id: str
    reason: str


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """Which rejects were replayed."""

    replayed: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    more: bool
    """More rejects match than one request replays; a repetition replays the next ones."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a listing."""

    items: tuple[Any, ...]
    next_cursor: str | None
