"""Raw events and rejects, as they are listed for debugging."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from schemas.ids import AccountId


class EventPlace(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where an event is: partition, flush, frame, place in the frame."""

    partition: int
    number: int
    offset: int
    place: int


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which raw events to list, newest arrival first."""

    account: AccountId
    idempotency_key: str | None = None
    event_name: str | None = None
    customer_id: str | None = None
    start: int | None = None
    end: int | None = None
    limit: int = 50
    cursor: str | None = None


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the store keeps it. `properties` is the JSON text exactly as posted."""

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
    """What one meter made of one event."""

    COUNTED = "counted"
    REJECTED = "rejected"
    FILTERED = "filtered"
    """The meter's filters leave it out."""
    PENDING = "pending"
    """The meter is younger than the event, and its backfill has not come this far."""


class MeterCount(msgspec.Struct, frozen=True, kw_only=True):
    """How one meter counted one event."""

    meter: str
    share: Share
    value: Decimal | None = None
    """What the event adds: 1 for `count`; null for `unique`, which asks only whether the value is new."""
    group: dict[str, str | None] = {}
    code: str | None = None
    message: str | None = None
    """Of a rejected one: why."""


class RejectQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rejects to list, newest arrival first."""

    account: AccountId
    code: str | None = None
    meter: str | None = None
    ids: tuple[str, ...] = ()
    open_only: bool = False
    """Leave out those that were tried again (a failed try leaves a reject of its own)."""
    limit: int = 50
    cursor: str | None = None


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """Something accepted that could not be counted, whole, with the reason."""

    id: str
    account: AccountId
    meter: str | None
    """None where the event itself was refused, and not only one meter's share of it."""
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
    """A reject that was not tried again, and why."""

    id: str
    reason: str


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """Which rejects were tried again."""

    replayed: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    more: bool
    """The same request, a moment later, would find others."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a listing."""

    items: tuple[Any, ...]
    next_cursor: str | None
